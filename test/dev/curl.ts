// curl, for the tests that walk through the documents: what is on the PATH, else installed as the launcher installs Redis.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

export async function curlCommand (): Promise<string> {
  const there = await run('curl', ['--version']).then(() => true, () => false)
  if (!there) {
    if (process.getuid?.() === 0) await run('apt-get', ['install', '-y', '-qq', 'curl'])
    else await run('sudo', ['-n', 'apt-get', 'install', '-y', '-qq', 'curl'])
  }
  return 'curl'
}
