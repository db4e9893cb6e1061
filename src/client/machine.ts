/**
 * The life of the client's connection, as a pure state machine: which phase it is in, and what is to be done with what happens.
 *
 *     idle ─open─▶ waiting for a token ─token─▶ connecting ─opened─▶ greeting ─welcome─▶ live
 *                   ▲  ▲    │ none now               │ lost, silence, expired │           │
 *                   │  │    └──────────────┐         ▼                        ▼           ▼
 *                   │  └────── timer ────── backing off ◀─────────────────────────────────┘
 *                   └─ online, timer ── offline ◀─ the browser says so, while not live (`online` ends backing off as well)
 *
 *     any of them ─refused, close─▶ stopped, for good
 *
 * The table is total: every phase says something to every input (the test walks through all). `live` does not take the browser's
 * word that the network is gone or back, but asks the server: a ping that must be answered soon.
 */

export type Phase = 'idle' | 'waiting for a token' | 'connecting' | 'greeting' | 'live' | 'backing off' | 'offline' | 'stopped'

export type Input =
  /** Begin. */
  | 'open'
  /** There is a token; or none can be had now. */
  | 'token' | 'no token'
  /** The socket is open; the server has welcomed us. */
  | 'opened' | 'welcome'
  /** Too long without an answer, or without any frame. */
  | 'silence'
  /** The socket ended: come again; come again with a new token; or the server, or whoever gives tokens, wants no more of us. */
  | 'lost' | 'expired' | 'refused'
  /** The time to wait is over. */
  | 'timer'
  /** What the browser says of the network. */
  | 'online' | 'offline'
  /** The application is done. */
  | 'close'

const INPUTS: readonly Input[] = ['open', 'token', 'no token', 'opened', 'welcome', 'silence', 'lost', 'expired', 'refused', 'timer', 'online', 'offline', 'close']

export type Action = 'get token' | 'open socket' | 'say hello' | 'go live' | 'probe' | 'back off' | 'drop token and back off' | 'wait for the network' | 'stop' | 'ignore'

export interface Step { readonly to: Phase, readonly action: Action }

const step = (to: Phase, action: Action): Step => ({ to, action })
const getToken = step('waiting for a token', 'get token')
const backOff = step('backing off', 'back off')
const dropToken = step('backing off', 'drop token and back off')
const waitForNetwork = step('offline', 'wait for the network')
const stop = step('stopped', 'stop')

/** A row in which everything is ignored that `steps` does not name. */
function row (phase: Phase, steps: Partial<Record<Input, Step>>): Record<Input, Step> {
  const ignored = Object.fromEntries(INPUTS.map(input => [input, step(phase, 'ignore')])) as Record<Input, Step>
  return { ...ignored, close: phase === 'stopped' ? ignored.close : stop, ...steps }
}

const ends = { silence: backOff, lost: backOff, expired: dropToken, refused: stop }

export const MACHINE: Readonly<Record<Phase, Readonly<Record<Input, Step>>>> = {
  idle: row('idle', { open: getToken }),
  'waiting for a token': row('waiting for a token', { token: step('connecting', 'open socket'), 'no token': backOff, silence: backOff, refused: stop, offline: waitForNetwork }),
  connecting: row('connecting', { ...ends, opened: step('greeting', 'say hello'), offline: waitForNetwork }),
  greeting: row('greeting', { ...ends, welcome: step('live', 'go live'), offline: waitForNetwork }),
  live: row('live', { ...ends, online: step('live', 'probe'), offline: step('live', 'probe') }),
  'backing off': row('backing off', { timer: getToken, online: getToken, offline: waitForNetwork }), // a network that went while we were live is back
  offline: row('offline', { online: getToken, timer: getToken }), // the timer: a browser may be wrong
  stopped: row('stopped', {}),
}

/** What the close code of a socket means: its range tells (docs/PROTOCOL.md). Codes of the WebSocket protocol itself: come again. */
export function inputOfClose (code: number): Input {
  if (code >= 4100 && code < 4200) return 'expired'
  if (code >= 4200 && code < 4300) return 'refused'
  return 'lost'
}

export interface BackOff {
  /** Most that is waited before the first try, in milliseconds. */
  readonly baseMs: number
  /** Most that is ever waited of our own accord, in milliseconds. */
  readonly capMs: number
}

/** A server that names a longer wait is not believed. */
const RETRY_AFTER_MS_MAX = 300_000

/**
 * How long to wait before try number `attempt` (from 0), in milliseconds: what the server asked for, and on top of it anything between
 * nothing and twice as much as the time before, up to the cap ("full jitter"), so that those who were cut together do not come together.
 */
export function backOffMs (attempt: number, random: () => number, { baseMs, capMs }: BackOff, retryAfterMs = 0): number {
  return Math.max(0, Math.min(retryAfterMs, RETRY_AFTER_MS_MAX)) + random() * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30))
}
