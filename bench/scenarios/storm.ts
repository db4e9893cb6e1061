/**
 * A gateway is killed under 10,000 clients in 250 rooms, and another takes them all, while people go on talking: until every client is
 * live again without a gap. Clients come back at random within 5 s, as after a restart; the second gateway had none of the
 * rooms before. Millrace alone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { rssOf } from '../proc.ts'
import type { ScenarioContext } from '../main.ts'
import { atMost, row, type Result } from '../results.ts'
import { watchStatements } from '../statements.ts'

const JITTER_MS = 5000

export async function storm ({ stage, say, quick }: ScenarioContext): Promise<Pick<Result, 'title' | 'settings' | 'rows' | 'verdicts' | 'raw'>> {
  const settings = quick
    ? { clients: 200, rooms: 10, speakers: 2, rate: 20, jitter_ms: 1000, before_s: 0.5, timeout_s: 20 }
    : { clients: 10_000, rooms: 250, speakers: 10, rate: 100, jitter_ms: JITTER_MS, before_s: 2, timeout_s: 60 }
  const { clients, rooms, speakers, rate, jitter_ms, before_s, timeout_s } = settings
  const server = await stage.millrace()
  const second = await server.startGateway()
  const load = await stage.load(server.target)
  const { hostname: host, port } = new URL(second.url)
  const { ms } = await load.ask('gather', {
    rooms, perRoom: clients / rooms, speakers, servers: [server.target, { host, port: Number(port) }], dealt: false, speakersAt: 1, jitterMs: jitter_ms, sampleRooms: 5, sampleSockets: 10, tallies: false, verifies: true,
  })
  say(`${clients} clients in ${rooms} rooms after ${Math.round(ms)} ms`)
  const statements = await watchStatements(server)
  await load.ask('talk', { rate })
  await sleep(before_s * 1000)

  const idle = rssOf(second.pid)
  await statements.since()
  const since = Date.now()
  await server.gateway.kill()
  const returned = await load.ask('allLive', { since, everyone: true, timeoutMs: timeout_s * 1000 })
  const asked = await statements.since()
  say(`all live ${(returned.all_ms / 1000).toFixed(2)} s after the kill: p50 ${(returned.ms.p50 / 1000).toFixed(2)} s, p99 ${(returned.ms.p99 / 1000).toFixed(2)} s, ${returned.tries} tries`)
  const grown = rssOf(second.pid) - idle
  await sleep(before_s * 1000)
  await load.ask('hush')
  const settled = await load.ask('settle', { timeoutMs: 20_000 })
  const verdict = await load.ask('judge')

  const part = `${clients} clients in ${rooms} rooms, their gateway killed, ${rate} messages/s`
  return {
    title: `storm: ${clients} clients lose their gateway and come to another`,
    settings,
    rows: [
      row(part, 'until the last client is live again', 's', [returned.all_ms / 1000], undefined, atMost(15, 's')),
      row(part, 'loss to live p50', 's', [returned.ms.p50 / 1000]),
      row(part, 'loss to live p99', 's', [returned.ms.p99 / 1000]),
      row(part, 'tries per client', '', [returned.tries / clients]),
      row(part, 'events that were missed and caught up, per client', '', [returned.caught_up / clients]),
      row(part, 'statements to Postgres for events or positions', '', [asked.positions], undefined, atMost(0, '')),
      row(part, 'other statements to Postgres', '', [asked.others]),
      row(part, 'gateway RSS for each client that came', 'KB', [grown / clients / 1000]),
      row(part, 'everything delivered after the last message', 's', [settled.ms / 1000]),
    ],
    verdicts: { millrace: verdict },
    raw: { returned, statements: asked },
  }
}
