/**
 * Logs: one JSON line each (pino), on standard error; a line that belongs to a trace says which. Tokens, passwords and content are
 * never logged: fields of such names are blanked, and of an error only its name, code, text and stack are written. What Redis and Postgres
 * hang on theirs besides (the command with its arguments, the row that failed) has content in it.
 */
import { destination, pino, type Logger } from 'pino'
import { activeSpan } from './tracing.ts'

export type { Logger } from 'pino'

const SECRETS = ['token', 'password', 'content', 'access_token', 'refresh_token', 'ticket', 'authorization', 'cookie', 'data', 'secret']
/** Characters of an error's text: some quote what they were about. */
const MESSAGE_CHARS_MAX = 1000
const CAUSES_MAX = 3

/** @param role which process speaks: `gateway`, `projector`, … */
export function createLogger ({ level, role }: { level: string, role: string }): Logger {
  return pino({
    level,
    base: { role },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: label => ({ level: label }) },
    mixin: traceOf,
    serializers: { err: (error: unknown) => describeError(error) },
    redact: [...SECRETS, ...SECRETS.map(name => `*.${name}`), 'req.headers.authorization'],
  }, destination({ dest: 2, sync: true }))
}

function traceOf (): object {
  const span = activeSpan()
  if (span === undefined) return {} // a new one for each line: pino writes the line's fields into it
  const { traceId, spanId } = span.spanContext()
  return { trace_id: traceId, span_id: spanId }
}

/** An error as it may be written. */
export function describeError (error: unknown, causes = CAUSES_MAX): unknown {
  if (!(error instanceof Error)) return { type: typeof error }
  const { name, message, code, stack = '', cause } = error as Error & { code?: unknown }
  return {
    type: name,
    message: message.slice(0, MESSAGE_CHARS_MAX),
    ...(typeof code === 'string' ? { code } : {}),
    stack: stack.split('\n').filter(line => line.startsWith('    at ')).join('\n'), // what stands above is the text again, uncut
    ...(cause === undefined || causes === 0 ? {} : { cause: describeError(cause, causes - 1) }),
  }
}
