/**
 * Events per second into Postgres with all projections in one process: catching up with a backlog in 250 rooms, and keeping
 * up with a steady load. Millrace alone.
 */
import { descendants } from '../../src/dev/processes.ts'
import { cpuOf } from '../proc.ts'
import { openLag, PROJECTIONS, type Applied } from '../projections.ts'
import type { Result } from '../results.ts'
import { row } from '../results.ts'
import type { ScenarioContext } from '../main.ts'

export async function projector ({ stage, say, quick }: ScenarioContext): Promise<Pick<Result, 'title' | 'settings' | 'rows' | 'verdicts' | 'raw'>> {
  const settings = quick
    ? { rooms: 10, per_room: 4, fill_s: 1, rounds: 1, rate: 200, seconds: 1 }
    : { rooms: 250, per_room: 4, fill_s: 5, rounds: 3, rate: 2000, seconds: 8 }
  const { rooms, per_room, fill_s, rounds, rate, seconds } = settings
  const server = await stage.millrace()
  const load = await stage.load(server.target)
  await load.ask('connect', { rooms, perRoom: per_room, joins: true, sampleRooms: 3, sampleSockets: 4 })
  const roomIds = await load.ask('roomIds')
  const lag = await openLag(server)
  const pids = { gateway: server.gateway.pid, redis: server.redis.id.pid }
  const postgresCpu = (): number => cpuOf([server.postgres.id.pid, ...descendants(server.postgres.id.pid)])

  const catchUps = []
  for (let i = 0; i < rounds; i++) {
    await load.ask('closed', { warm_s: 0, seconds: fill_s, pids, senders: rooms * per_room, window: 1 })
    const total = await lag.logged(roomIds)
    const before = await lag.applied(roomIds)
    const events = total - least(before)
    const postgresBefore = postgresCpu()
    const child = await server.startProjector()
    const cpuBefore = cpuOf([child.pid, pids.redis])
    const { took, seen } = await lag.until(roomIds, total, 180_000)
    const cpu = cpuOf([child.pid, pids.redis]) - cpuBefore
    const postgres = postgresCpu() - postgresBefore
    const begun = seen.find(at => PROJECTIONS.some(name => at[name]! > before[name]!))?.ms ?? 0
    const ms = Math.max(...Object.values(took)) - begun
    catchUps.push({ events, begun, ms, per_s: events / ms * 1000, took, cpu_us: cpu * 1e6 / events, postgres_us: postgres * 1e6 / events, seen })
    say(`${i + 1}/${rounds} ${events} events in ${(ms / 1000).toFixed(2)} s: ${Math.round(events / ms * 1000)} events/s into all (first after ${Math.round(begun)} ms; ${PROJECTIONS.map(name => `${name} ${Math.round(took[name]!)} ms`).join(', ')})`)
    await child.stop()
  }

  const child = await server.startProjector()
  await lag.until(roomIds, await lag.logged(roomIds), 60_000)
  const behind: number[] = []
  const ended = new AbortController()
  const watching = (async () => {
    while (!ended.signal.aborted) {
      const [logged, applied] = [await lag.logged(roomIds), await lag.applied(roomIds)]
      behind.push(logged - least(applied))
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  })()
  const steady = await load.ask('open', { warm_s: 1, seconds, pids, rate })
  ended.abort()
  await watching
  const { took } = await lag.until(roomIds, await lag.logged(roomIds), 60_000)
  behind.sort((a, b) => a - b)
  await lag.close()
  await child.stop()

  const part = `${rooms} rooms`
  const kept = `keeping up with ${rate} messages/s`
  return {
    title: 'projector: events into Postgres, all projections in one process',
    settings,
    rows: [
      row(`catching up, ${part}`, 'events into all projections', '1/s', catchUps.map(({ per_s }) => per_s)),
      row(`catching up, ${part}`, 'from start to the first commit', 's', catchUps.map(({ begun }) => begun / 1000)),
      row(`catching up, ${part}`, 'CPU per event, projector and Redis', 'µs', catchUps.map(({ cpu_us }) => cpu_us)),
      row(`catching up, ${part}`, 'CPU per event, Postgres', 'µs', catchUps.map(({ postgres_us }) => postgres_us)),
      row(kept, 'events behind, median', '', [behind[behind.length >> 1] ?? Number.NaN]),
      row(kept, 'events behind, most', '', [behind.at(-1) ?? Number.NaN]),
      row(kept, 'caught up after the load', 's', [(Math.max(...Object.values(took)) + steady.drain_ms) / 1000]),
      row(kept, 'delivery latency p99 meanwhile', 'ms', [steady.latency_ms.p99]),
    ],
    verdicts: { millrace: await load.ask('judge') },
    raw: { catchUps, steady, behind },
  }
}

const least = (applied: Applied): number => Math.min(...Object.values(applied))
