/** One of several processes that try for the same data directory at the same moment. Holds it until its parent disconnects. */
import { reason } from '../../src/dev/start-error.ts'
import { lockDataDir } from '../../src/dev/run-file.ts'

process.on('message', () => {
  try {
    lockDataDir(process.argv[2] ?? '')
    process.send?.('mine')
  } catch (error) {
    process.send?.(reason(error))
  }
})
process.send?.('up')
