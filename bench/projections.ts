/** How far the projections are behind the log, seen from outside: heads from Redis, checkpoints from Postgres. */
import { setTimeout as sleep } from 'node:timers/promises'
import { PROJECTIONS as live } from '../projections/live.ts'
import { groupOf } from '../projections/projection.ts'
import { createKeys } from '../src/log/keys.ts'
import { connectRedis } from '../src/log/redis.ts'
import { openStore } from '../src/store/pool.ts'
import { createLogger } from '../src/telemetry/logging.ts'
import { PARTITIONS, type Millrace } from './processes.ts'

const POLL_MS = 50

export const PROJECTIONS: readonly string[] = live.map(groupOf)
export type Applied = Record<string, number>

export async function openLag ({ redis: { url }, databaseUrl }: Millrace) {
  const logger = createLogger({ level: 'silent', role: 'bench' })
  const store = await openStore({ url: databaseUrl, max: 1, name: 'bench', log: logger })
  const redis = await connectRedis(url, 'bench', logger)
  const keys = createKeys(PARTITIONS)

  async function applied (roomIds: readonly string[]): Promise<Applied> {
    const { rows } = await store.query<{ projection: string, applied: number }>('SELECT projection, sum(seq)::bigint AS applied FROM checkpoints WHERE room_id = ANY ($1::uuid[]) GROUP BY 1', [roomIds])
    return { ...Object.fromEntries(PROJECTIONS.map(name => [name, 0])), ...Object.fromEntries(rows.map(({ projection, applied }) => [projection, Number(applied)])) }
  }

  return {
    applied,
    /** Events in the log of these rooms. Asked plainly and in one write: who watches should cost next to nothing. */
    async logged (roomIds: readonly string[]): Promise<number> {
      const commands = redis.pipeline()
      for (const id of roomIds) commands.hget(keys.meta(id), 'seq')
      const heads = await commands.exec() ?? []
      return heads.reduce((sum, [error, seq]) => {
        if (error !== null) throw error
        return sum + Number(seq)
      }, 0)
    },
    /** Waits until all have applied `events`; returns the milliseconds that each took, and what was seen on the way. */
    async until (roomIds: readonly string[], events: number, timeoutMs: number) {
      const began = performance.now()
      const took: Partial<Applied> = {}
      const seen: Array<{ ms: number } & Applied> = []
      for (;;) {
        const now = await applied(roomIds)
        const ms = performance.now() - began
        seen.push({ ms, ...now })
        for (const projection of PROJECTIONS) if (now[projection]! >= events) took[projection] ??= ms
        if (PROJECTIONS.every(projection => took[projection] !== undefined)) return { took: took as Applied, seen }
        if (ms > timeoutMs) throw new Error(`after ${timeoutMs} ms the projections have ${JSON.stringify(now)} of ${events} events`)
        await sleep(POLL_MS)
      }
    },
    /** Throws unless the archive has exactly these events, and history all messages among them. */
    async holds (roomIds: readonly string[], events: number): Promise<void> {
      const { rows: [row] } = await store.query<{ archived: number, said: number, messages: number }>(`
        SELECT count(*) AS archived, count(*) FILTER (WHERE type = 'message') AS said, (SELECT count(*) FROM messages WHERE room_id = ANY ($1::uuid[])) AS messages
          FROM events
         WHERE room_id = ANY ($1::uuid[])`, [roomIds])
      if (row?.archived !== events || row.messages !== row.said) throw new Error(`of ${events} events the archive has ${row?.archived}, of ${row?.said} messages history has ${row?.messages}`)
    },
    async close () {
      redis.disconnect()
      await store.close()
    },
  }
}
