/** Logs: one JSON line each (pino), on standard error. Tokens, passwords and content are never logged. */
import { destination, pino, type Logger } from 'pino'

export type { Logger } from 'pino'

/** @param role which process speaks: `gateway`, `projector`, … */
export function createLogger ({ level, role }: { level: string, role: string }): Logger {
  return pino({
    level,
    base: { role },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: label => ({ level: label }) },
    redact: ['*.token', '*.password', '*.content', '*.access_token', '*.refresh_token', '*.authorization', 'req.headers.authorization'],
  }, destination({ dest: 2, sync: true }))
}
