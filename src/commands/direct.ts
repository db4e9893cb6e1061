/**
 * Messages to a person instead of a room: their direct conversation is made on first use, in the same breath as the message, so
 * the order in which somebody writes is kept [G1].
 */
import { dmIdOf } from '../ids.ts'
import type { Commands, Outcome, Request } from './request.ts'

/** Conversations that are known to exist, so that they are not made again with each message. */
const KNOWN_MAX = 20_000

export interface Direct {
  /** The conversation of `user_id` with `other`, made if there is none. */
  open: (request: Omit<Request, 'command'>, other: string) => Promise<Outcome>
  /** Sends to `recipient`; the command's `room_id` is filled in here. */
  send: (request: Request, recipient: string) => Promise<Outcome>
}

export function createDirect ({ commands }: { commands: Commands }): Direct {
  const known = new Set<string>()

  async function make (request: Omit<Request, 'command'>, room_id: string, other: string): Promise<Outcome> {
    const { client_id: _, resend: __, ...by } = request // the key is the message's
    const members = [...new Set([request.user_id, other])].sort()
    const outcome = await commands.execute({ ...by, command: { type: 'create', room_id, kind: 'dm', name: '', members } })
    const there = outcome.ok || outcome.rejection.code === 'room_exists'
    if (there) {
      if (known.size >= KNOWN_MAX) known.clear()
      known.add(room_id)
    }
    return there && !outcome.ok ? { ok: true, changed: false, room_id } : outcome
  }

  return {
    async open (request, other) {
      return await make(request, dmIdOf(request.user_id, other), other)
    },
    async send (request, recipient) {
      const room_id = dmIdOf(request.user_id, recipient)
      // Both are put into the room's queue now, one behind the other: nothing of the same session comes between or before.
      const made = known.has(room_id) ? undefined : make(request, room_id, recipient)
      const said = commands.execute({ ...request, command: { ...request.command, room_id } })
      const outcome = await made
      if (outcome === undefined || outcome.ok) {
        const result = await said
        if (result.ok || result.rejection.code !== 'room_not_found' || outcome !== undefined) return result
        known.delete(room_id) // lost, and never archived: it is made again
        return await this.send(request, recipient)
      }
      await said
      return outcome
    },
  }
}
