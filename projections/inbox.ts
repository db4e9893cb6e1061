/**
 * Inboxes: what is news for one person is appended to the log of their own, a room of kind `inbox` under their ID, with the same
 * guarantees as any room. The archive queues the news in the transaction that writes its rows (`queueTidings`); one worker of
 * all (`startInbox`) appends them in that order, each under a key made of what it tells, and marked as sent again: after a
 * crash in between, what is in the inbox already is found there [G2], and nothing is told twice.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Commands, Outcome } from '../src/commands/request.ts'
import { ensureInbox } from '../src/commands/inbox.ts'
import { SYSTEM_ID } from '../src/commands/lobby.ts'
import { derivedUuid } from '../src/ids.ts'
import type { RoomLog } from '../src/log/log.ts'
import { whileAlone } from '../src/store/lock.ts'
import type { Client, Queryable, Store } from '../src/store/pool.ts'
import type { Logger } from '../src/telemetry/logging.ts'
import { createColumns } from './columns.ts'
import type { RoomChange } from './fold.ts'

const BATCH = 500
const PAUSE_MS = 250
/** After a fault, and while another worker is at it. */
const AWAY_MS = 2000
/** After which an inbox that could not be written is tried again. */
const LATER_MS = 10_000
/** Advisory lock of the one worker: the letters `inbx`. */
const LOCK = 0x696e6278

interface Row { readonly id: number, readonly user_id: string, readonly room_id: string, readonly seq: number, readonly event: 'added' | 'removed' | 'mentioned' | 'revoked', readonly by: string, readonly reason: string | null }

/** Called by the archive with what it folded. Most batches hold no news, and cost nothing here. */
export async function queueTidings (tx: Queryable, changes: readonly RoomChange[]): Promise<void> {
  const columns = createColumns(6)
  for (const { room_id, tidings } of changes) {
    for (const { user_id, event, source_seq, by, reason } of tidings) columns.add(user_id, room_id, source_seq, event, by, reason)
  }
  if (columns.rows === 0) return
  await tx.query(`
    INSERT INTO inbox_pending (user_id, room_id, seq, event, by, reason)
    SELECT *
      FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::uuid[], $6::text[])`, columns.parameters())
}

export interface InboxOptions {
  store: Store
  log: RoomLog
  commands: Commands
  /** Whether Postgres knows the room. */
  archived: (roomId: string) => Promise<boolean>
  /** Tells the sockets of the user, which may not follow the inbox yet. A hint. */
  hint: (userId: string, seq: number) => void
  logger: Logger
}

/** Begins the worker; of several, one works and the others wait for its end. */
export function startInbox ({ store, log, commands, archived, hint, logger }: InboxOptions): { done: Promise<void>, stop: () => Promise<void> } {
  const stopping = new AbortController()
  const { signal } = stopping
  const done = run()

  async function run (): Promise<void> {
    while (!signal.aborted) {
      try {
        await whileAlone(store, LOCK, async client => { while (!signal.aborted) if (await drain(client) < BATCH) await pause(PAUSE_MS) })
      } catch (error) {
        logger.warn({ reason: (error as Error).message }, 'inboxes wait: their news could not be read or appended')
      }
      await pause(AWAY_MS)
    }
  }

  async function drain (client: Client): Promise<number> {
    const { rows } = await client.query<Row>({ name: 'inbox_pending', text: 'SELECT id, user_id, room_id, seq, event, by, reason FROM inbox_pending WHERE not_before <= now() ORDER BY id LIMIT $1', values: [BATCH] })
    if (rows.length === 0) return 0
    const outcomes = await Promise.all(rows.map(async row => await tell(row))) // of one inbox in their order: it has one queue
    const told = rows.filter((_, i) => outcomes[i]!.ok)
    await client.query('DELETE FROM inbox_pending WHERE id = ANY ($1::bigint[])', [told.map(({ id }) => id)])
    const failed = rows.filter((_, i) => !outcomes[i]!.ok)
    if (failed.length === 0) return rows.length
    if (failed.length === rows.length) throw new Error('none of the news could be appended')
    // One inbox that cannot be written now holds up itself, and nobody else.
    logger.warn({ inboxes: new Set(failed.map(({ user_id }) => user_id)).size }, 'news could not be appended; it waits')
    await client.query("UPDATE inbox_pending SET not_before = now() + $2 * interval '1 millisecond' WHERE user_id = ANY ($1::uuid[])", [failed.map(({ user_id }) => user_id), LATER_MS])
    return rows.length
  }

  async function tell ({ user_id, room_id, seq, event, by, reason }: Row): Promise<Outcome> {
    const append = async (): Promise<Outcome> => await commands.execute({
      command: { type: 'inform', room_id: user_id, event, about: room_id, source_seq: seq, by, reason: reason ?? undefined },
      user_id: SYSTEM_ID,
      session: `inbox of ${user_id}`,
      client_id: derivedUuid(`${event} ${room_id} ${seq} ${user_id}`),
      resend: true,
    })
    let outcome = await append()
    if (!outcome.ok && outcome.rejection.code === 'room_not_found') {
      const made = await ensureInbox({ commands, log, archived }, user_id)
      if (!made.ok) return made
      outcome = await append()
    }
    if (outcome.ok && outcome.changed && !outcome.duplicate) hint(user_id, outcome.seq)
    return outcome
  }

  async function pause (ms: number): Promise<void> {
    await sleep(ms, undefined, { signal }).catch(() => {})
  }

  return {
    done,
    async stop () {
      stopping.abort()
      await done
    },
  }
}
