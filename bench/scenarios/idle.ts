/**
 * Memory of an authenticated, subscribed, idle socket: growth of the gateway's RSS from 1,000 to 10,000 sockets ÷ 9,000. The same
 * in two large rooms, and in rooms of 4, where the rooms themselves cost something too. A gateway (and a peer) of its own for each.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { rssOf } from '../proc.ts'
import type { Millrace, Peer } from '../processes.ts'
import type { Result } from '../results.ts'
import { atMost, row } from '../results.ts'
import type { ScenarioContext } from '../main.ts'
import type { Verdict } from '../load/evidence.ts'

export async function idle ({ stage, say, quick }: ScenarioContext): Promise<Pick<Result, 'title' | 'settings' | 'rows' | 'verdicts' | 'raw'>> {
  const settings = quick ? { few: 100, many: 400, rest_s: 0.5, rounds: 1 } : { few: 1000, many: 10_000, rest_s: 4, rounds: 1 }
  const { few, many, rest_s } = settings
  const verdicts: Record<string, Verdict> = {}
  const raw: unknown[] = []

  async function grow (server: Millrace | Peer, perRoom: number, label: string): Promise<number> {
    const load = await stage.load(server.target)
    const bytes: number[] = []
    for (const sockets of [few, many - few]) {
      const size = Math.min(perRoom, sockets)
      const { ms } = await load.ask('connect', { rooms: Math.ceil(sockets / size), perRoom: size, joins: false, sampleRooms: 0, sampleSockets: 0 })
      // What counts is the last look, after a rest in which the collector may take what connecting has left.
      const looks: number[] = []
      for (let i = 0; i < 8; i++) {
        await sleep(rest_s * 1000 / 8)
        looks.push(rssOf(server.gateway.pid))
      }
      bytes.push(looks.at(-1)!)
      say(`${label} ${server.kind.padEnd(9)} ${sockets} more sockets in ${Math.round(ms)} ms: RSS ${(bytes.at(-1)! / 1e6).toFixed(1)} MB (${(looks[0]! / 1e6).toFixed(1)} at once)`)
    }
    verdicts[`${server.kind}, ${label}`] = await load.ask('judge')
    await load.ask('close')
    await server.gateway.stop()
    raw.push({ kind: server.kind, label, bytes })
    return (bytes[1]! - bytes[0]!) / (many - few) / 1000
  }

  const rows = []
  for (const [label, perRoom] of [['rooms of 4', 4], ['two large rooms', Infinity]] as const) {
    const ours = await grow(await stage.millrace(), perRoom, label)
    const peer = await stage.socketIo()
    const theirs = peer === undefined ? undefined : await grow(peer, perRoom, label)
    rows.push(row(`${few} → ${many} idle sockets, ${label}`, 'gateway RSS per socket', 'KB', [ours], theirs === undefined ? undefined : [theirs], atMost(15, 'KB')))
  }
  return { title: 'idle: memory of an authenticated, subscribed, idle socket', settings, rows, verdicts, raw }
}
