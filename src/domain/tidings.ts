/**
 * Tidings: what of a room's events is news for one person, wherever they are: it goes into their inbox. Pure. `@room` is no such
 * news: a message must not cost a write for each member.
 */
import { RANK } from './permissions.ts'
import { effectsOf, STRANGER, type Happening, type Member } from './room.ts'

const NONE: Tiding[] = []

export interface Tiding {
  readonly user_id: string
  readonly event: 'added' | 'removed' | 'mentioned' | 'revoked'
  /** What the same news is told by once: the seq of the event, or of the message that mentions. */
  readonly source_seq: number
  /** Who did it. */
  readonly by: string
  readonly reason?: string | undefined
}

/** @param seq the event's place in its room · @param recordOf records of users before the event */
export function tidingsOf (event: Happening, seq: number, recordOf: (userId: string) => Member): Tiding[] {
  const { user_id: by } = event
  const to = (user_id: string, what: Tiding['event'], source_seq = seq, reason?: string): Tiding => ({ user_id, event: what, source_seq, by, reason })
  switch (event.type) {
    case 'message':
      return event.mentions === undefined ? NONE : event.mentions.filter(user => user !== by).map(user => to(user, 'mentioned'))
    case 'edit': // whom the message named before was told already, under the same source
      return (event.mentions ?? []).filter(user => user !== by).map(user => to(user, 'mentioned', event.message_seq))
    case 'join':
      return event.target === undefined ? [] : [to(event.target, 'added')]
    case 'kick':
      return [to(event.target, 'removed', seq, event.reason)]
    case 'ban':
      // Who was not in the room has lost nothing, and is not to be written to by a ban.
      return event.lifted === true || RANK[recordOf(event.target).role] < 0 ? NONE : [to(event.target, 'revoked', seq, event.reason)]
    case 'room':
      if (event.change !== 'created' || event.kind !== 'dm') return []
      return effectsOf(event, () => STRANGER).flatMap(effect => effect.on === 'member' && effect.user_id !== by ? [to(effect.user_id, 'added')] : [])
    default:
      return []
  }
}
