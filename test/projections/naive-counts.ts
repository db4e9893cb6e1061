/**
 * What waits for somebody in a room, counted naively from its log: one event after the other, and then one message after the other. It
 * shares nothing with the counting.
 */
import { decodeEvent, type LogEvent } from '../../src/log/codec.ts'

export interface Naive {
  readonly unread: number
  readonly mentions: number
  /** Messages that stand, own ones included. */
  readonly standing: number
  /** Nothing at or before it counts. */
  readonly place: number
}

type Event = ReturnType<typeof decodeEvent> & { readonly seq: number }

const decoded = new WeakMap<readonly LogEvent[], Event[]>()

function eventsOf (log: readonly LogEvent[]): Event[] {
  let events = decoded.get(log)
  if (events === undefined) decoded.set(log, events = log.map(entry => ({ seq: entry.seq, ...decodeEvent(entry) })))
  return events
}

/** Whether somebody is in the room, and since when. Undefined: not in it. */
function joinedAt (events: readonly Event[], user: string, lobby: boolean): number | undefined {
  let [inside, joined, banned, removed] = [lobby, 0, 0, false]
  for (const event of events) {
    const target = 'target' in event ? event.target ?? event.user_id : event.user_id
    if (event.type === 'room' && event.change === 'deleted') removed = true
    if (event.type === 'room' && event.change === 'created' && !lobby && event.user_id === user) [inside, joined] = [true, event.seq]
    if (target !== user) continue
    if (event.type === 'join') [inside, joined] = [true, event.seq]
    if (event.type === 'role') inside = true
    if (event.type === 'leave' || event.type === 'kick') [inside, joined] = [lobby, 0]
    if (event.type === 'ban' && event.lifted === true) banned = 0
    else if (event.type === 'ban') [inside, joined, banned] = [lobby, 0, event.until === undefined ? Infinity : Date.parse(event.until)]
  }
  return inside && !removed && banned <= Date.now() ? joined : undefined
}

interface Said { readonly seq: number, readonly by: string, readonly mentions: readonly string[], readonly everyone: boolean }

/** The messages that stand, and whom they name now: in their last text. */
function standing (events: readonly Event[]): Said[] {
  const said = new Map<number, Said>()
  for (const event of events) {
    if (event.type === 'message') said.set(event.seq, { seq: event.seq, by: event.user_id, mentions: event.mentions ?? [], everyone: event.mentions_room === true })
    const target = event.type === 'edit' || event.type === 'delete' ? said.get(event.message_seq) : undefined
    if (target === undefined) continue
    if (event.type === 'delete') said.delete(target.seq)
    if (event.type === 'edit') said.set(target.seq, { ...target, mentions: event.mentions ?? [], everyone: event.mentions_room === true })
  }
  return [...said.values()].sort((a, b) => a.seq - b.seq)
}

/** @param mark how far they have read, or been delivered · @param created when they signed up. Undefined: not in the room. */
export function naiveCounts (log: readonly LogEvent[], user: string, { lobby, mark, created }: { lobby: boolean, mark: number, created: string }): Naive | undefined {
  const events = eventsOf(log)
  const joined = joinedAt(events, user, lobby)
  if (joined === undefined) return undefined
  let place = Math.max(mark, joined)
  if (lobby) {
    const before = events.filter(event => event.type === 'message' && event.timestamp < created).sort((a, b) => a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : a.seq - b.seq)
    place = Math.max(place, before.at(-1)?.seq ?? 0)
  }
  const after = standing(events).filter(({ seq }) => seq > place)
  const others = after.filter(({ by }) => by !== user)
  return { unread: others.length, mentions: others.filter(({ mentions, everyone }) => everyone || mentions.includes(user)).length, standing: after.length, place }
}

/** Seqs of the messages that name somebody: by name, or, in a room that they are in, all who were there. */
export function naiveMentions (log: readonly LogEvent[], user: string, { lobby }: { lobby: boolean }): number[] {
  const events = eventsOf(log)
  const joined = lobby ? undefined : joinedAt(events, user, false)
  return standing(events).filter(({ seq, by, mentions, everyone }) => mentions.includes(user) || (everyone && by !== user && joined !== undefined && seq > joined)).map(({ seq }) => seq)
}
