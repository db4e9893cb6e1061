/**
 * A rebuild of `history` out of the archive, from the first event of every room until its tables have taken the place of the live ones:
 * events per second while they are filled, indexes included, and how long the switch kept readers waiting. Nothing else runs. Millrace alone.
 */
import { history } from '../../projections/history.ts'
import { rebuild as rebuildProjection } from '../../projections/rebuild.ts'
import { descendants } from '../../src/dev/processes.ts'
import { createGroups } from '../../src/log/groups.ts'
import { createKeys } from '../../src/log/keys.ts'
import { createRedisLog } from '../../src/log/redis-log.ts'
import { connectRedis } from '../../src/log/redis.ts'
import { openStore, type Store } from '../../src/store/pool.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import type { ScenarioContext } from '../main.ts'
import { cpuOf } from '../proc.ts'
import { PARTITIONS } from '../processes.ts'
import { atMost, row, type Result } from '../results.ts'
import { seedArchive } from '../seed.ts'

const READ_EVERY_MS = 2

export async function rebuild ({ stage, say, quick }: ScenarioContext): Promise<Pick<Result, 'title' | 'settings' | 'rows' | 'verdicts' | 'raw'>> {
  const settings = quick ? { rooms: 10, events: 200, rounds: 1 } : { rooms: 300, events: 1000, rounds: 3 }
  const { rooms, events, rounds } = settings
  const server = await stage.millrace()
  await seedArchive(server, { rooms, events, cold: true })
  say(`${rooms * events} events in ${rooms} rooms are archived`)
  const logger = createLogger({ level: 'warn', role: 'bench' })
  const store = await openStore({ url: server.databaseUrl, max: 4, name: 'bench', log: logger, silenceMs: 600_000 })
  const redis = await connectRedis(server.redis.url, 'bench', logger)
  const keys = createKeys(PARTITIONS)
  const postgres = (): number => cpuOf([server.postgres.id.pid, ...descendants(server.postgres.id.pid)])
  const runs = []
  try {
    for (let i = 0; i < rounds; i++) {
      const reading = readAllTheTime(store)
      const before = { own: process.cpuUsage(), postgres: postgres() }
      const rebuilt = await rebuildProjection({
        projection: history,
        store,
        log: createRedisLog({ redis, keys, log: logger }),
        groups: createGroups({ redis, keys }),
        logger,
        clock: Date.now,
        graceMs: 0,
        throttle: 0,
        restart: false,
        signal: new AbortController().signal,
        say: () => {},
        onProgress: () => {},
      }).finally(reading.stop)
      const waited_ms = await reading.stop()
      const { user, system } = process.cpuUsage(before.own)
      if (rebuilt === undefined || rebuilt.events < rooms * events) throw new Error(`${rebuilt?.events} events were applied of ${rooms * events}`)
      const per_s = rebuilt.events / rebuilt.ms * 1000
      runs.push({ ...rebuilt, per_s, waited_ms, own_us: (user + system) / rebuilt.events, postgres_us: (postgres() - before.postgres) * 1e6 / rebuilt.events })
      say(`${i + 1}/${rounds} ${rebuilt.events} events in ${(rebuilt.ms / 1000).toFixed(2)} s: ${Math.round(per_s)} events/s; a reader waited at most ${waited_ms.toFixed(0)} ms`)
    }
  } finally {
    redis.disconnect()
    await store.close()
  }
  const part = `${rooms * events} events in ${rooms} rooms`
  return {
    title: 'rebuild: history filled anew out of the archive',
    settings,
    rows: [
      row(part, 'events into the new tables, indexes included', '1/s', runs.map(({ per_s }) => per_s), undefined, { text: '≥ 30,000 1/s', of: 'figure', holds: value => value >= 30_000 }),
      row(part, 'CPU per event, the rebuild', 'µs', runs.map(({ own_us }) => own_us)),
      row(part, 'CPU per event, Postgres', 'µs', runs.map(({ postgres_us }) => postgres_us)),
      row(part, 'longest that a reader waited', 'ms', runs.map(({ waited_ms }) => waited_ms), undefined, atMost(1000, 'ms')),
    ],
    verdicts: {},
    raw: { runs },
  }
}

/** Reads the live table every few milliseconds; `stop` says how long the slowest answer took. */
function readAllTheTime (store: Store): { stop: () => Promise<number> } {
  const aborter = new AbortController()
  let most = 0
  const done = (async () => {
    while (!aborter.signal.aborted) {
      const began = performance.now()
      await store.query('SELECT seq FROM messages WHERE room_id = (SELECT id FROM rooms LIMIT 1) ORDER BY seq DESC LIMIT 1')
      most = Math.max(most, performance.now() - began)
      await new Promise(resolve => setTimeout(resolve, READ_EVERY_MS))
    }
  })()
  return {
    async stop () {
      aborter.abort()
      await done
      return most
    },
  }
}
