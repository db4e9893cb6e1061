/** `npm start` over stand-ins for src/main.ts, as a process of its own that the tests signal and kill. Ends with the test. */
import { fileURLToPath } from 'node:url'
import { start, type StartOptions } from '../../src/cli/start.ts'
import { ConfigError, loadConfig } from '../../src/config.ts'

if (process.channel !== undefined) {
  process.once('disconnect', () => { process.kill(process.pid, 'SIGTERM') })
  process.channel?.unref()
}
const options: StartOptions = { entry: fileURLToPath(new URL('stand-in-role.ts', import.meta.url)), web: async () => false }
if (process.env.LAUNCHER_LIBRARY !== undefined) options.library = process.env.LAUNCHER_LIBRARY
try {
  process.exitCode = await start(loadConfig(), options)
} catch (error) {
  console.error(error instanceof ConfigError ? error.message : error)
  process.exitCode = 1
}
