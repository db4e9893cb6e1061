/**
 * Millrace and the peer under the same load, in turns: each round measures one right after the other, so that what else the
 * machine does meets both. Two load clients of the same kind, one for each, of which only one works at a time.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { rssOf } from '../proc.ts'
import type { Load, Millrace, Peer, Stage } from '../processes.ts'
import type { ConnectRequest } from '../load/main.ts'
import type { PhaseResult } from '../load/phases.ts'
import { row, type Row } from '../results.ts'

export interface Fighter {
  readonly server: Millrace | Peer
  readonly load: Load
  /** Bytes of gateway RSS for each socket of the load. */
  memory: number
}

export type Rounds = Array<{ millrace: PhaseResult, peer: PhaseResult | undefined }>

export interface Timing { rounds: number, warm_s: number, seconds: number }

export async function prepare (stage: Stage, connect: ConnectRequest, say: (line: string) => void) {
  const enter = async <S extends Millrace | Peer> (server: S): Promise<Fighter & { server: S }> => {
    const load = await stage.load(server.target)
    const before = rssOf(server.gateway.pid)
    const { sockets, ms } = await load.ask('connect', connect)
    await sleep(500)
    const memory = (rssOf(server.gateway.pid) - before) / sockets
    say(`${server.kind}: ${sockets} sockets in ${connect.rooms} rooms after ${Math.round(ms)} ms`)
    return { server, load, memory }
  }
  const millrace = await enter(await stage.millrace())
  /** A peer like this, if it is installed. */
  const challenge = async (options?: Parameters<Stage['socketIo']>[0]): Promise<Fighter | undefined> => {
    const server = await stage.socketIo(options)
    return server === undefined ? undefined : await enter(server)
  }
  return { millrace, peer: await challenge(), challenge }
}

export function phaseOf ({ server }: Fighter, { warm_s, seconds }: Timing) {
  return { warm_s, seconds, pids: { gateway: server.gateway.pid, redis: server.redis.id.pid } }
}

/** @param run one phase of one fighter */
export async function fight (fighters: { millrace: Fighter, peer: Fighter | undefined }, rounds: number, what: string, run: (fighter: Fighter) => Promise<PhaseResult>, say: (line: string) => void): Promise<Rounds> {
  const all: Rounds = []
  for (let i = 0; i < rounds; i++) {
    const one = async (fighter: Fighter): Promise<PhaseResult> => {
      const result = await run(fighter)
      const busy = Math.round(100 * cpuShare(result))
      say(`${what} ${i + 1}/${rounds} ${fighter.server.kind.padEnd(9)} ${Math.round(result.messages_per_s)} messages/s, ${Math.round(result.deliveries_per_s)} deliveries/s, p50 ${result.latency_ms.p50.toFixed(1)} ms, p99 ${result.latency_ms.p99.toFixed(1)} ms, ${result.cpu_us_per_delivery.toFixed(2)} µs of server CPU per delivery (gateway ${result.cpu.gateway_s.toFixed(2)} s, Redis ${result.cpu.redis_s.toFixed(2)} s, client ${result.cpu.client_s.toFixed(2)} s in ${result.seconds.toFixed(1)} s: ${busy} % of a core)`)
      return result
    }
    const millrace = await one(fighters.millrace)
    all.push({ millrace, peer: fighters.peer === undefined ? undefined : await one(fighters.peer) })
  }
  return all
}

const cpuShare = ({ cpu, seconds }: PhaseResult): number => (cpu.gateway_s + cpu.redis_s + cpu.client_s) / seconds

type Target = Parameters<typeof row>[5]

/** Rows of one kind of phase. */
export function rowsOf (part: string, rounds: Rounds, wanted: ReadonlyArray<readonly [name: string, unit: string, of: (result: PhaseResult) => number, target?: Target]>): Row[] {
  const withPeer = rounds.every(({ peer }) => peer !== undefined)
  return wanted.map(([name, unit, of, target]) => row(part, name, unit, rounds.map(({ millrace }) => of(millrace)), withPeer ? rounds.map(({ peer }) => of(peer!)) : undefined, target))
}
