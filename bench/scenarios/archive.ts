/**
 * Catching up out of the archive, from the very beginning. One client with a room of a million events that was let go of: complete, in
 * order, and in how much of the gateway's memory. Then a client in each of ten long rooms whose streams were trimmed entirely: events per second out of
 * one gateway. Every client checks that each event chains onto the last. Millrace alone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuOf, rssOf } from '../proc.ts'
import { descendants } from '../../src/dev/processes.ts'
import type { ScenarioContext } from '../main.ts'
import { atMost, row, type Result } from '../results.ts'
import { seedArchive } from '../seed.ts'
import { watchStatements } from '../statements.ts'

const REST_MS = 3000
const LOOK_MS = 50

export async function archive ({ stage, say, quick }: ScenarioContext): Promise<Pick<Result, 'title' | 'settings' | 'rows' | 'verdicts' | 'raw'>> {
  const settings = quick ? { long: 20_000, rooms: 3, events: 2000, rounds: 1 } : { long: 1_000_000, rooms: 10, events: 30_000, rounds: 5 }
  const { long, rooms, events, rounds } = settings
  const server = await stage.millrace()
  const seeding = performance.now()
  const [whole] = await seedArchive(server, { rooms: 1, events: long, cold: true })
  const trimmed = await seedArchive(server, { rooms, events, cold: false })
  say(`${long + rooms * events} events are archived after ${((performance.now() - seeding) / 1000).toFixed(1)} s`)
  const gateway = server.gateway.pid
  const postgres = (): number => cpuOf([server.postgres.id.pid, ...descendants(server.postgres.id.pid)])

  const reader = await stage.load(server.target)
  await reader.ask('adopt', { rooms: [whole!], servers: [server.target], sampleRooms: 0, verifies: true })
  await sleep(quick ? 500 : REST_MS)
  const idle = rssOf(gateway)
  let most = idle
  const looking = setInterval(() => { most = Math.max(most, rssOf(gateway)) }, LOOK_MS)
  const one = await reader.ask('recall')
  clearInterval(looking)
  expect(one.events, long)
  say(`1 client has all ${one.events} events after ${(one.all_ms / 1000).toFixed(1)} s; the gateway had ${(idle / 1e6).toFixed(1)} MB, and ${(most / 1e6).toFixed(1)} at the most`)
  const first = await reader.ask('judge')
  await reader.ask('rest')

  const load = await stage.load(server.target)
  await load.ask('adopt', { rooms: trimmed, servers: [server.target], sampleRooms: 1, verifies: true })
  const statements = await watchStatements(server)
  const catchUps = []
  for (let i = 0; i < rounds; i++) {
    if (i > 0) {
      await load.ask('rest')
      await load.ask('startOver')
    }
    const before = { gateway: cpuOf([gateway]), postgres: postgres() }
    const { all_ms, events: came, from_archive } = await load.ask('recall')
    expect(came, rooms * events)
    if (from_archive !== rooms) throw new Error(`${from_archive} of ${rooms} rooms came from the archive`)
    const per_s = came / all_ms * 1000
    catchUps.push({ per_s, all_ms, gateway_us: (cpuOf([gateway]) - before.gateway) * 1e6 / came, postgres_us: (postgres() - before.postgres) * 1e6 / came })
    say(`${i + 1}/${rounds} ${rooms} clients have ${came} events after ${(all_ms / 1000).toFixed(2)} s: ${Math.round(per_s)} events/s`)
  }
  const asked = await statements.since()
  const second = await load.ask('judge')

  const alone = `1 client, a room of ${long} events that was let go of`
  const together = `${rooms} clients, rooms of ${events} events whose streams are trimmed entirely`
  return {
    title: 'archive: catching up from seq 0 out of Postgres',
    settings,
    rows: [
      row(alone, 'until it is live', 's', [one.all_ms / 1000]),
      row(alone, 'events', '1/s', [one.events / one.all_ms * 1000]),
      row(alone, 'gateway RSS above idle, at the most', 'MB', [(most - idle) / 1e6], undefined, atMost(100, 'MB')),
      row(together, 'events out of one gateway', '1/s', catchUps.map(({ per_s }) => per_s), undefined, { text: '≥ 30,000 1/s', of: 'figure', holds: value => value >= 30_000 }),
      row(together, 'gateway CPU per event', 'µs', catchUps.map(({ gateway_us }) => gateway_us)),
      row(together, 'Postgres CPU per event', 'µs', catchUps.map(({ postgres_us }) => postgres_us)),
      row(together, 'statements to Postgres per 1,000 events', '', [asked.positions * 1000 / (rounds * rooms * events)]),
    ],
    verdicts: { [alone]: first, [together]: second },
    raw: { one, idle, most, catchUps, statements: asked },
  }
}

function expect (came: number, wanted: number): void {
  if (came !== wanted) throw new Error(`${came} events came of ${wanted}`)
}
