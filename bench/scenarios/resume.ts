/**
 * 200 clients come back at once, each having missed 100 events that are still in the stream: from `hello` to `live`. The sockets are
 * connected before the clock starts. Each in a room of its own, and all in one room, at the gateway that they were at; and at one that has
 * let go of their rooms, as another would (LINGER_S=0), so that everything is read from the streams. Millrace alone.
 */
import type { ScenarioContext } from '../main.ts'
import type { Verdict } from '../load/evidence.ts'
import type { Latency } from '../load/phases.ts'
import { atMost, row, type Result, type Row } from '../results.ts'
import { watchStatements, type Statements } from '../statements.ts'

export async function resume ({ stage, say, quick }: ScenarioContext): Promise<Pick<Result, 'title' | 'settings' | 'rows' | 'verdicts' | 'raw'>> {
  const settings = quick ? { clients: 20, missed: 100, rounds: 1 } : { clients: 200, missed: 100, rounds: 7 }
  const { clients, missed, rounds } = settings
  const rows: Row[] = []
  const verdicts: Record<string, Verdict> = {}
  const raw: Array<{ label: string, comings: Array<{ ms: Latency, all_ms: number }>, statements: Statements }> = []

  for (const [label, perRoom, env] of [['each in a room of its own', 1, {}], ['all in one room', clients, {}], ['each in a room of its own, read from its stream', 1, { LINGER_S: '0' }]] as const) {
    const server = await stage.millrace(env)
    const statements = await watchStatements(server)
    const load = await stage.load(server.target)
    await load.ask('gather', { rooms: clients / perRoom, perRoom, speakers: Math.min(4, clients / perRoom), servers: [server.target], dealt: false, speakersAt: 0, jitterMs: 0, sampleRooms: 3, sampleSockets: 4, tallies: false, verifies: false })
    await statements.since()
    const comings = []
    for (let i = -1; i < rounds; i++) { // the first is to warm up
      await load.ask('rest')
      await load.ask('fill', { perRoom: missed })
      const { ms, all_ms, events, from_archive } = await load.ask('recall')
      if (events !== clients * missed || from_archive > 0) throw new Error(`${events} events came, ${from_archive} times from the archive, where ${clients * missed} were missed`)
      if (i < 0) continue
      comings.push({ ms, all_ms })
      say(`${i + 1}/${rounds} ${label}: p50 ${ms.p50.toFixed(1)} ms, p99 ${ms.p99.toFixed(1)} ms, all ${clients} after ${all_ms.toFixed(1)} ms`)
    }
    await load.ask('settle', { timeoutMs: 10_000 })
    const asked = await statements.since()
    verdicts[label] = await load.ask('judge')
    await load.ask('rest')
    raw.push({ label, comings, statements: asked })
    const part = `${clients} clients at once, ${missed} missed events, ${label}`
    rows.push(
      row(part, 'hello to live p50', 'ms', comings.map(({ ms }) => ms.p50)),
      row(part, 'hello to live p99', 'ms', comings.map(({ ms }) => ms.p99), undefined, env.LINGER_S === '0' ? undefined : atMost(100, 'ms')),
      row(part, 'until the last is live', 'ms', comings.map(({ all_ms }) => all_ms)),
      row(part, 'events out meanwhile', '1/s', comings.map(({ all_ms }) => clients * missed / all_ms * 1000)),
      row(part, 'statements to Postgres for events or positions', '', [asked.positions], undefined, atMost(0, '')),
      row(part, 'other statements to Postgres, per client and return', '', [asked.others / clients / (rounds + 1)])
    )
  }
  return { title: `resume: ${clients} clients come back at once to ${missed} missed events in the stream`, settings, rows, verdicts, raw }
}
