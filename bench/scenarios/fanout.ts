/** One room, 1,000 sockets: what one message costs that goes to everybody. */
import type { Result } from '../results.ts'
import { atLeast, oneOver, row } from '../results.ts'
import type { ScenarioContext } from '../main.ts'
import { fight, phaseOf, prepare, rowsOf } from './duel.ts'

export async function fanout ({ stage, say, quick }: ScenarioContext): Promise<Pick<Result, 'title' | 'settings' | 'rows' | 'verdicts' | 'raw'>> {
  const settings = quick
    ? { rooms: 1, per_room: 50, senders: 10, window: 1, rate: 20, rounds: 1, warm_s: 0.2, seconds: 1 }
    : { rooms: 1, per_room: 1000, senders: 100, window: 1, rate: 50, rounds: 3, warm_s: 1, seconds: 5 }
  const { rooms, per_room, senders, window, rate, rounds, warm_s, seconds } = settings
  const timing = { rounds, warm_s, seconds }
  const fighters = await prepare(stage, { rooms, perRoom: per_room, joins: true, sampleRooms: 1, sampleSockets: 4 }, say)
  const closed = await fight(fighters, rounds, 'closed loop', async fighter => await fighter.load.ask('closed', { ...phaseOf(fighter, timing), senders, window }), say)
  const open = await fight(fighters, rounds, 'open loop', async fighter => await fighter.load.ask('open', { ...phaseOf(fighter, timing), rate }), say)
  const { millrace, peer } = fighters
  const throughput = `as fast as it goes: ${senders} senders, ${window} message each under way`
  const steady = `${rate} messages/s`
  return {
    title: `fanout: one room, ${per_room} sockets`,
    settings,
    rows: [
      ...rowsOf(throughput, closed, [
        ['deliveries', '1/s', result => result.deliveries_per_s, atLeast(6)],
        ['messages', '1/s', result => result.messages_per_s],
        ['latency p50', 'ms', result => result.latency_ms.p50],
        ['latency p99', 'ms', result => result.latency_ms.p99],
        ['server CPU per delivery', 'µs', result => result.cpu_us_per_delivery, oneOver(6)],
      ]),
      ...rowsOf(steady, open, [
        ['latency p50', 'ms', result => result.latency_ms.p50],
        ['latency p99', 'ms', result => result.latency_ms.p99],
        ['ack p50 (durable; peer: not)', 'ms', result => result.ack_ms.p50],
        ['server CPU per delivery', 'µs', result => result.cpu_us_per_delivery],
      ]),
      row('memory', 'gateway RSS per socket', 'KB', [millrace.memory / 1000], peer === undefined ? undefined : [peer.memory / 1000]),
    ],
    verdicts: { millrace: await millrace.load.ask('judge'), ...(peer === undefined ? {} : { 'socket.io': await peer.load.ask('judge') }) },
    raw: { closed, open },
  }
}
