// What `millrace status` says, looked at within this process: a new one for each look takes longer than the look.
import { codeOf, lookOnce, screenOf } from '../../src/cli/status.ts'
import type { Config } from '../../src/config.ts'
import { until } from '../until.ts'

/** Waits until the screen and the exit code are as expected; returns the screen. Silence is noticed after some seconds. */
export const saysOver = (config: Config) => async (line: RegExp, code: number): Promise<string> => {
  let last = ''
  try {
    return await until(async () => {
      const status = await lookOnce(config)
      last = `${screenOf(status)}\n`
      return line.test(last) && codeOf(status) === code ? last : undefined
    }, { timeoutMs: 40_000, everyMs: 100, what: String(line) }) as string
  } catch (error) {
    throw new Error(`${(error as Error).message}; it said: ${last}`)
  }
}
