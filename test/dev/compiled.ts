// What is compiled is kept (src/compile-cache.ts), but not by processes that are killed, as tests do: so one loads all of it and ends.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** What every role is started with. */
export const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export async function keepCompiled (): Promise<void> {
  await once(spawn(process.execPath, [MAIN], { env: { PATH: process.env.PATH }, stdio: 'ignore' }), 'exit')
}
