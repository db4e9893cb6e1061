/**
 * Events per second into Postgres with all projections in one process: catching up with a backlog in 250 rooms, keeping up with a
 * steady load, and catching up with what ten minutes of 1,000 messages/s leave while no projector lives. Millrace alone.
 */
import { descendants } from '../../src/dev/processes.ts'
import { cpuOf } from '../proc.ts'
import { openLag, PROJECTIONS, type Applied } from '../projections.ts'
import type { Result } from '../results.ts'
import { atMost, row } from '../results.ts'
import type { ScenarioContext } from '../main.ts'
import { seedLogs } from '../seed-logs.ts'

/** Between two looks at how far behind the projections are; places in between are interpolated. */
const LOOK_MS = 100

export async function projector ({ stage, say, quick }: ScenarioContext): Promise<Pick<Result, 'title' | 'settings' | 'rows' | 'verdicts' | 'raw'>> {
  const settings = quick
    ? { rooms: 10, per_room: 4, fill_s: 1, rounds: 1, rate: 200, seconds: 1, dead: { rooms: 10, events: 100 } }
    : { rooms: 250, per_room: 4, fill_s: 5, rounds: 3, rate: 3000, seconds: 8, dead: { rooms: 250, events: 2400 } }
  const { rooms, per_room, fill_s, rounds, rate, seconds, dead } = settings
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
  const looks: Look[] = []
  const warm_s = 1
  const warmAt = performance.now() + warm_s * 1000
  const ended = new AbortController()
  const watching = (async () => {
    while (!ended.signal.aborted) {
      const at = performance.now()
      const [logged, applied] = await Promise.all([lag.logged(roomIds), lag.applied(roomIds)])
      looks.push({ at, logged, applied: least(applied) })
      await new Promise(resolve => setTimeout(resolve, LOOK_MS))
    }
  })()
  const steady = await load.ask('open', { warm_s, seconds, pids, rate })
  ended.abort()
  await watching
  const { took } = await lag.until(roomIds, await lag.logged(roomIds), 60_000)
  const warm = looks.filter(({ at }) => at >= warmAt)
  const behind = warm.map(({ logged, applied }) => logged - applied).sort((a, b) => a - b)
  const late = lateOf(looks).filter((_, i) => looks[i + 1]!.at >= warmAt).sort((a, b) => a - b)
  await child.stop()

  const backlog = await seedLogs(server, dead)
  const total = await lag.logged(backlog)
  const began = performance.now()
  const revived = await server.startProjector()
  await lag.until(backlog, total, 300_000)
  const revival_s = (performance.now() - began) / 1000
  await lag.holds(backlog, total)
  say(`${total} events of before were applied ${revival_s.toFixed(1)} s after the start of a projector: ${Math.round(total / revival_s)} events/s`)
  await lag.close()
  await revived.stop()

  const part = `${rooms} rooms`
  const kept = `keeping up with ${rate} messages/s`
  const dear = `${total} events in ${dead.rooms} rooms came while no projector lived`
  return {
    title: 'projector: events into Postgres, all projections in one process',
    settings,
    rows: [
      row(`catching up, ${part}`, 'events into all projections', '1/s', catchUps.map(({ per_s }) => per_s), undefined, { text: '≥ 15,000 1/s', of: 'figure', holds: rate => rate >= 15_000 }),
      row(`catching up, ${part}`, 'from start to the first commit', 's', catchUps.map(({ begun }) => begun / 1000)),
      row(`catching up, ${part}`, 'CPU per event, projector and Redis', 'µs', catchUps.map(({ cpu_us }) => cpu_us)),
      row(`catching up, ${part}`, 'CPU per event, Postgres', 'µs', catchUps.map(({ postgres_us }) => postgres_us)),
      row(kept, 'events behind, median', '', [part50(behind)]),
      row(kept, 'events behind, most', '', [behind.at(-1) ?? Number.NaN]),
      row(kept, 'time behind, p50', 'ms', [part50(late)]),
      row(kept, 'time behind, p99', 'ms', [late[Math.floor(late.length * 0.99)] ?? Number.NaN], undefined, atMost(1000, 'ms')),
      row(kept, 'caught up after the load', 's', [(Math.max(...Object.values(took)) + steady.drain_ms) / 1000]),
      row(kept, 'delivery latency p99 meanwhile', 'ms', [steady.latency_ms.p99]),
      row(dear, 'from the start of a projector until all are applied', 's', [revival_s], undefined, atMost(120, 's')),
    ],
    verdicts: { millrace: await load.ask('judge') },
    raw: { catchUps, steady, looks, revival_s },
  }
}

const least = (applied: Applied): number => Math.min(...Object.values(applied))

const part50 = (sorted: readonly number[]): number => sorted[sorted.length >> 1] ?? Number.NaN

/** What was logged when it was looked, and what the projection that was the furthest behind had applied. */
interface Look { readonly at: number, readonly logged: number, readonly applied: number }

/** For each look, how long ago the log had as much as was applied then, in milliseconds: the time that everything behind it still waits for. */
function lateOf (looks: readonly Look[]): number[] {
  let then = 0
  return looks.slice(1).map(({ at, applied }) => {
    while (then < looks.length - 1 && looks[then + 1]!.logged <= applied) then++
    const [before, after] = [looks[then]!, looks[then + 1]]
    if (after === undefined || after.logged === before.logged || applied < before.logged) return at - before.at
    return Math.max(0, at - before.at - (after.at - before.at) * (applied - before.logged) / (after.logged - before.logged))
  })
}
