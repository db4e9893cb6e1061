/**
 * Commands with limits around them: what a user sends counts against the user and the room, by whatever way it came. What is
 * too much is answered with `rate_limited` and when to come again, and is not appended.
 *
 * Commands of one user are handed on in the order of the calls [G1]: at once while the tokens are at hand; where one has to wait
 * for them, those after it stand behind it, at most `WAITING_MAX`.
 */
import type { Commands, Outcome, Request } from '../commands/request.ts'
import { reject } from '../domain/rejections.ts'
import { createWaitingLine, type WaitingLine } from '../waiting-line.ts'
import type { Limits } from './limits.ts'

/** Commands of one user that may stand behind one that waits for tokens. */
const WAITING_MAX = 1000
const RETRY_MS = 1000

const SENDS = new Set<string>(['message', 'edit', 'delete', 'react', 'unreact'])
/** Frames that are no sends count as the requests that they are over HTTP; else a socket could toggle as fast as it may send frames. */
const REQUESTS = new Set<string>(['join', 'leave', 'create'])

export function limitCommands ({ commands, limits }: { commands: Commands, limits: Limits }): Commands {
  const lines = new Map<string, WaitingLine>() // of users who wait for tokens

  /** Of a room counts what was appended, so that those whom it refuses cannot use it up. */
  function handOn (request: Request): Promise<Outcome> {
    const outcome = commands.execute(request)
    if (!SENDS.has(request.command.type)) return outcome
    return outcome.then(outcome => {
      if (!outcome.ok || !outcome.changed || outcome.duplicate) limits.unspend('room_sends', request.command.room_id)
      return outcome
    })
  }

  /** In a line for each user: the next is served when this one was handed on, not when it is answered. */
  async function standIn (request: Request, wait: () => number | Promise<number>): Promise<Outcome> {
    const { user_id } = request
    const line = lines.get(user_id) ?? createWaitingLine({ inside: 1, waiting: WAITING_MAX })
    lines.set(user_id, line)
    const turn = line.enter(async () => {
      const waitMs = await wait()
      if (line.stats().waiting === 0) lines.delete(user_id) // from here on until it is handed on nothing else runs
      return { outcome: waitMs === 0 ? handOn(request) : refusal(waitMs) }
    })
    if (turn === undefined) return refusal(RETRY_MS)
    return await (await turn).outcome
  }

  return {
    async execute (request) {
      if (lines.has(request.user_id)) return await standIn(request, () => spend(limits, request))
      const waitMs = spend(limits, request)
      if (waitMs === 0) return await handOn(request)
      return typeof waitMs === 'number' ? refusal(waitMs) : await standIn(request, () => waitMs)
    },
  }
}

function refusal (waitMs: number): Outcome {
  return { ok: false, rejection: reject('rate_limited', undefined, waitMs) }
}

/** Spends what the command costs; where one of two is refused, the other is put back. */
function spend (limits: Limits, { command: { type, room_id }, user_id }: Request): number | Promise<number> {
  if (REQUESTS.has(type)) return limits.spend('requests', user_id)
  if (!SENDS.has(type)) return 0
  const mine = limits.spend('sends', user_id)
  if (typeof mine === 'number' && mine > 0) return mine
  const rooms = limits.spend('room_sends', room_id)
  const settle = (mine: number, rooms: number): number => {
    if (mine === 0 && rooms > 0) limits.unspend('sends', user_id)
    if (rooms === 0 && mine > 0) limits.unspend('room_sends', room_id)
    return Math.max(mine, rooms)
  }
  if (typeof mine === 'number' && typeof rooms === 'number') return settle(mine, rooms)
  return Promise.all([mine, rooms]).then(([mine, rooms]) => settle(mine, rooms))
}
