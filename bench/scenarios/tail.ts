/** What an event costs Redis and the gateway at 100, 1,000 and 10,000 subscribed rooms, at 1,000 messages/s. Millrace alone. */
import { connectRedis } from '../../src/log/redis.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import type { Result, Row } from '../results.ts'
import { row } from '../results.ts'
import type { ScenarioContext } from '../main.ts'
import type { Verdict } from '../load/evidence.ts'
import type { PhaseResult } from '../load/phases.ts'

const ROOMS_PER_SOCKET = 50

export async function tail ({ stage, say, quick }: ScenarioContext): Promise<Pick<Result, 'title' | 'settings' | 'rows' | 'verdicts' | 'raw'>> {
  const settings = quick ? { sizes: [50, 100], rate: 200, senders: 4, rounds: 1, warm_s: 0.2, seconds: 1 } : { sizes: [100, 1000, 10_000], rate: 1000, senders: 4, rounds: 3, warm_s: 1, seconds: 5 }
  const { sizes, rate, senders, rounds, warm_s, seconds } = settings
  const verdicts: Record<string, Verdict> = {}
  const raw: Array<{ rooms: number, phases: PhaseResult[], commands: Record<string, { calls: number, usec: number }> }> = []
  for (const rooms of sizes) {
    const server = await stage.millrace()
    const load = await stage.load(server.target)
    const { ms } = await load.ask('connect', { rooms, perRoom: 1, roomsPerSocket: ROOMS_PER_SOCKET, senders, joins: false, sampleRooms: ROOMS_PER_SOCKET, sampleSockets: 1 })
    say(`${rooms} rooms subscribed by ${Math.ceil(rooms / ROOMS_PER_SOCKET)} sockets after ${Math.round(ms)} ms`)
    const redis = await connectRedis(server.redis.url, 'bench', createLogger({ level: 'silent', role: 'bench' }))
    await redis.config('RESETSTAT')
    const phases: PhaseResult[] = []
    for (let i = 0; i < rounds; i++) {
      const result = await load.ask('open', { rate, warm_s, seconds, pids: { gateway: server.gateway.pid, redis: server.redis.id.pid } })
      phases.push(result)
      say(`${i + 1}/${rounds} ${rooms} rooms: ${result.messages_per_s.toFixed(0)} messages/s, Redis ${redisUs(result).toFixed(1)} µs and gateway ${gatewayUs(result).toFixed(1)} µs of CPU per event, p50 ${result.latency_ms.p50.toFixed(1)} ms, p99 ${result.latency_ms.p99.toFixed(1)} ms`)
    }
    raw.push({ rooms, phases, commands: commandsOf(await redis.info('commandstats')) })
    redis.disconnect()
    verdicts[`${rooms} rooms`] = await load.ask('judge')
    await load.ask('close')
    await server.gateway.stop()
    await server.redis.stop()
  }

  const rows: Row[] = raw.flatMap(({ rooms, phases, commands }) => {
    const { calls = 1, usec = Number.NaN } = commands.evalsha ?? {}
    return [
      row(`${rooms} rooms`, 'Redis CPU per event', 'µs', phases.map(redisUs)),
      row(`${rooms} rooms`, 'gateway CPU per event', 'µs', phases.map(gatewayUs)),
      row(`${rooms} rooms`, 'of Redis: a script call as Redis times it', 'µs', [usec / calls]),
      row(`${rooms} rooms`, 'latency p50', 'ms', phases.map(({ latency_ms }) => latency_ms.p50)),
      row(`${rooms} rooms`, 'latency p99', 'ms', phases.map(({ latency_ms }) => latency_ms.p99)),
    ]
  })
  const [few, many] = [raw[0]!, raw.at(-1)!]
  rows.push(row('growth', `Redis CPU per append, ${few.rooms} → ${many.rooms} rooms`, '×', many.phases.map((phase, i) => redisUs(phase) / redisUs(few.phases[i]!)), undefined, { text: '≤ 2 ×', of: 'figure', holds: value => value <= 2 }))
  return { title: `tail: CPU per event by number of subscribed rooms, ${rate} messages/s`, settings, rows, verdicts, raw }
}

const redisUs = ({ cpu, messages }: PhaseResult): number => cpu.redis_s * 1e6 / messages
const gatewayUs = ({ cpu, messages }: PhaseResult): number => cpu.gateway_s * 1e6 / messages

/** Calls and microseconds by command, as Redis counts them. */
export function commandsOf (info: string): Record<string, { calls: number, usec: number }> {
  return Object.fromEntries([...info.matchAll(/cmdstat_(\S+?):calls=(\d+),usec=(\d+)/g)].map(([, name, calls, usec]) => [name!, { calls: Number(calls), usec: Number(usec) }]))
}
