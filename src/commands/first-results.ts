/**
 * The long memory of G2: the first result of a command that a client sends again, however long ago the first time was. The
 * archive is asked, then the part of the stream that it does not have yet; what is younger than both looks is caught by the
 * append script's own key. An archive that has another history than the log says nothing: what it knows of may not stand [G8].
 */
import { START, type Position } from '../domain/position.ts'
import { LogFault, type RoomLog } from '../log/log.ts'

const CHUNK_EVENTS = 1000
/** Events that one look goes through at most; so far behind the archive must not be for a resend to be told from a new command. */
const EVENTS_MAX = 20_000

export interface Sent {
  readonly author: string
  readonly client_id: string
}

export type FirstResult = Position & { readonly event_id: string }

/** What the archive knows: how far it goes in the room, and those of the commands that it has. */
export type ArchiveLook = (roomId: string, sent: readonly Sent[]) => Promise<{ checkpoint: Position, hits: Array<Sent & FirstResult> }>

/** First results of those commands that were appended before, by `keyOf`. Throws LogFault, and what Postgres throws. */
export type FirstResults = (roomId: string, sent: readonly Sent[]) => Promise<Map<string, FirstResult>>

export function keyOf ({ author, client_id }: Sent): string {
  return `${author}:${client_id}`
}

export function createFirstResults ({ archiveLook, log }: { archiveLook: ArchiveLook, log: RoomLog }): FirstResults {
  return async (roomId, sent) => {
    const { checkpoint, hits } = await archiveLook(roomId, sent)
    if (!await stands(log, roomId, checkpoint)) throw new LogFault('unavailable', `the archive of the room ${roomId} has another history than the log, until they are reconciled`)
    const found = new Map(hits.map(hit => [keyOf(hit), hit as FirstResult]))
    const wanted = new Set(sent.map(keyOf))
    for (let after = checkpoint.seq; ;) {
      const events = await log.read(roomId, after, CHUNK_EVENTS)
      for (const { seq, chain, event_id, data } of events) {
        if (!data.includes('"client_id"')) continue
        const { user_id, client_id } = JSON.parse(data) as { user_id: string, client_id?: string }
        if (client_id === undefined) continue
        const key = keyOf({ author: user_id, client_id })
        if (wanted.has(key) && !found.has(key)) found.set(key, { seq, chain, event_id })
      }
      if (events.length < CHUNK_EVENTS) return found
      after = events.at(-1)!.seq
      if (after - checkpoint.seq > EVENTS_MAX) throw new LogFault('unavailable', 'the archive is too far behind to look for what was sent before')
    }
  }
}

/** Whether the log has this position of the archive, as far as can be told: where it is trimmed, it was the archive's. */
async function stands (log: RoomLog, roomId: string, { seq, chain }: Position): Promise<boolean> {
  if (seq === 0) return true
  const [{ fenced, heads }, chains] = await Promise.all([log.heads([roomId]), log.chainsAt(roomId, [seq])])
  const head = heads.get(roomId) ?? START
  return !fenced && (head.seq === seq ? head.chain === chain : head.seq > seq && (chains.get(seq) ?? chain) === chain)
}
