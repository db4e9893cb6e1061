/**
 * Long rooms without the time that it takes to write them: made by a command, then continued in the archive with set-based SQL, chain and
 * all; what Redis holds is brought to the new head. Their streams are empty: trimmed entirely, or the room was let go of (`cold`).
 */
import { archive, replaceState } from '../projections/archive.ts'
import { createCommands } from '../src/commands/commands.ts'
import { memberFrom } from '../src/commands/room-hashes.ts'
import type { Position } from '../src/domain/position.ts'
import { uuidv7 } from '../src/ids.ts'
import { chainOf } from '../src/log/chain.ts'
import { decodeEvent } from '../src/log/codec.ts'
import { createCold } from '../src/log/cold.ts'
import { createKeys } from '../src/log/keys.ts'
import { createRedisLog } from '../src/log/redis-log.ts'
import { connectRedis, type Redis } from '../src/log/redis.ts'
import { ARCHIVE } from '../src/store/archive.ts'
import { openStore, type Store } from '../src/store/pool.ts'
import { createLogger } from '../src/telemetry/logging.ts'
import { createMetrics } from '../src/telemetry/metrics.ts'
import { CONTENT_CHARS } from './load/dialect.ts'
import { PARTITIONS, type Millrace } from './processes.ts'

const ROWS_PER_STATEMENT = 20_000

export interface SeededRoom { readonly id: string, readonly user_id: string, readonly head: Position }

/** @param events of each room; @param cold whether Redis has let go of the rooms, or only of their streams */
export async function seedArchive ({ redis: { url }, databaseUrl }: Millrace, { rooms, events, cold }: { rooms: number, events: number, cold: boolean }): Promise<SeededRoom[]> {
  const logger = createLogger({ level: 'silent', role: 'bench' })
  const redis = await connectRedis(url, 'bench', logger)
  const store = await openStore({ url: databaseUrl, max: 1, name: 'bench', log: logger })
  const keys = createKeys(PARTITIONS)
  const log = createRedisLog({ redis, keys, log: logger })
  const commands = createCommands({
    log, firstResults: async () => new Map(), noteMembership: async () => {}, onFenced: () => {}, clock: Date.now, newId: uuidv7, queuedMax: 100, roomsMax: 100, metrics: createMetrics('bench'), logger,
  })
  const colds = createCold({ redis, keys })
  await store.query('SET synchronous_commit = off') // of this one connection
  try {
    const seeded: SeededRoom[] = []
    for (let i = 0; i < rooms; i++) {
      const [id, user_id] = [uuidv7(), uuidv7()]
      await commands.execute({ command: { type: 'create', room_id: id, name: `of ${events} events`, kind: 'public' }, user_id, session: 'seed' })
      const made = await log.read(id, 0, 10)
      await archive.apply(store, [{ room_id: id, partition: keys.partitionOf(id), events: made.map(entry => ({ entry, event: decodeEvent(entry) })) }])
      const head = await writeMessages(store, id, user_id, made.at(-1)!, events)
      await bringTo(redis, keys, id, head, head.seq - made.length)
      const { meta, members } = (await colds.holds(id))!
      await replaceState(store, id, meta, new Map([...members].map(([user, record]) => [user, memberFrom(record)])))
      await store.query('INSERT INTO checkpoints (projection, room_id, partition, seq, chain) VALUES ($1, $2, $3, $4, $5)', [ARCHIVE, id, keys.partitionOf(id), head.seq, head.chain])
      if (cold && !await colds.evict(id, head)) throw new Error(`the room ${id} could not be let go of`)
      seeded.push({ id, user_id, head })
    }
    await store.query('ANALYZE events') // as the autovacuum would have done while it was written
    await store.query('CHECKPOINT') // so that nothing of the seeding is written later
    return seeded
  } finally {
    redis.disconnect()
    await store.close()
  }
}

/** Messages of the load (`load/dialect.ts`) by one user from `after` on, up to seq `last`, as `log/codec.ts` would write them; returns the head. */
async function writeMessages (store: Store, roomId: string, userId: string, after: Position, last: number): Promise<Position> {
  let { seq, chain } = after
  const began = Date.now() - last
  while (seq < last) {
    const count = Math.min(ROWS_PER_STATEMENT, last - seq)
    const ids: string[] = []
    const chains: string[] = []
    for (let i = 0; i < count; i++) {
      ids.push(uuidv7())
      chains.push(chain = chainOf(chain, ids[i]!))
    }
    await store.query(`
      INSERT INTO events (room_id, seq, chain, event_id, user_id, type, v, timestamp, client_id, data)
      SELECT $1::uuid, seq, chain, event_id, $2::uuid, 'message', 1, timestamp, event_id::text,
             concat('{"type":"message","content":"', rpad('B00000' || lpad(nth::text, 8, '0') || repeat('0', 11), ${CONTENT_CHARS}, 'abcdefghijklmnopqrstuvwxyz'), '","user_id":"', $2::text,
                    '","timestamp":"', to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), '","client_id":"', event_id, '"}')::json
        FROM (SELECT $3::bigint + nth AS seq, $3::bigint - $7::bigint + nth AS nth, chain, event_id, to_timestamp(($4::bigint + $3::bigint + nth) / 1000.0) AS timestamp
                FROM unnest($5::text[], $6::uuid[]) WITH ORDINALITY AS written (chain, event_id, nth)) AS row`,
    [roomId, userId, seq, began, chains, ids, after.seq])
    seq += count
  }
  return { seq, chain }
}

/** Redis holds the room as it would after these messages, its stream trimmed entirely. */
async function bringTo (redis: Redis, keys: ReturnType<typeof createKeys>, roomId: string, { seq, chain }: Position, messages: number): Promise<void> {
  await redis.multi().hset(keys.meta(roomId), { seq, chain, messages }).del(keys.log(roomId)).exec()
}
