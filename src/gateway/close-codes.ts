/**
 * Close codes and the `bye` before each (PROTOCOL.md). The range tells the client what to do: 4000–4099 reconnect with jitter
 * and resume, 4100–4199 get a new token first, 4200–4299 stop.
 */
export const CLOSE = {
  going_away: { code: 4001, reason: 'the server is stopping', resume: true },
  slow_consumer: { code: 4002, reason: 'too much waited to be read', resume: true },
  silent: { code: 4003, reason: 'no sign of life since the last heartbeat', resume: true },
  token_expired: { code: 4100, reason: 'the access token is missing, wrong or expired', resume: true },
  session_revoked: { code: 4101, reason: 'session revoked', resume: true },
  bad_version: { code: 4201, reason: 'the subprotocol must be millrace.v1', resume: false },
  too_many_connections: { code: 4203, reason: 'the user has as many connections as allowed', resume: false },
  abuse: { code: 4204, reason: 'too many bad frames', resume: false },
} as const

export type CloseName = keyof typeof CLOSE
