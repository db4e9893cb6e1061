/**
 * 250 rooms of 4 sockets: what a message costs where few hear it; without projectors, then with all projections running. As fast as it goes, there is
 * a second peer whose acks are on disk, as Millrace's are.
 */
import type { Result } from '../results.ts'
import { atLeast, atMost, oneOver, row } from '../results.ts'
import type { ScenarioContext } from '../main.ts'
import { openLag } from '../projections.ts'
import type { PhaseResult } from '../load/phases.ts'
import { fight, phaseOf, prepare, rowsOf, type Fighter } from './duel.ts'

export async function rooms ({ stage, say, quick }: ScenarioContext): Promise<Pick<Result, 'title' | 'settings' | 'rows' | 'verdicts' | 'raw'>> {
  const settings = quick
    ? { rooms: 10, per_room: 4, window: 1, rate: 100, rounds: 1, warm_s: 0.2, seconds: 1 }
    : { rooms: 250, per_room: 4, window: 1, rate: 2000, rounds: 3, warm_s: 1, seconds: 4 }
  const { rooms, per_room, window, rate, rounds, warm_s, seconds } = settings
  const timing = { rounds, warm_s, seconds }
  const senders = rooms * per_room
  const fighters = await prepare(stage, { rooms, perRoom: per_room, joins: true, sampleRooms: Math.min(rooms, 5), sampleSockets: 4 }, say)
  const { millrace, peer } = fighters
  const equals = { millrace, peer: await fighters.challenge({ durable: true }) }
  const asFastAsItGoes = async (fighter: Fighter): Promise<PhaseResult> => await fighter.load.ask('closed', { ...phaseOf(fighter, timing), senders, window })
  const closed = await fight(fighters, rounds, 'closed loop', asFastAsItGoes, say)
  const durable = await fight(equals, rounds, 'closed loop, both durable', asFastAsItGoes, say)
  const open = await fight(fighters, rounds, 'open loop', async fighter => await fighter.load.ask('open', { ...phaseOf(fighter, timing), rate }), say)

  const lag = await openLag(millrace.server)
  const roomIds = await millrace.load.ask('roomIds')
  const caughtUp: number[] = []
  const projector = await millrace.server.startProjector()
  const backlog = await lag.logged(roomIds)
  const began = performance.now()
  await lag.until(roomIds, backlog, 120_000)
  say(`projectors caught up with the ${backlog} events of before in ${Math.round(performance.now() - began)} ms`)
  const beside = async (fighter: Fighter): Promise<PhaseResult> => {
    const result = await asFastAsItGoes(fighter)
    if (fighter === millrace) {
      const { took } = await lag.until(roomIds, await lag.logged(roomIds), 120_000)
      // From the end of the load: the load's drain came before.
      caughtUp.push((Math.max(...Object.values(took)) + result.drain_ms) / 1000)
      say(`the projections had caught up ${caughtUp.at(-1)!.toFixed(2)} s after the end of the load`)
    }
    return result
  }
  const projected = await fight(fighters, rounds, 'with projectors', beside, say)
  const projectedDurable = await fight(equals, rounds, 'with projectors, both durable', beside, say)
  await lag.close()
  await projector.stop()

  return {
    title: `rooms: ${rooms} rooms of ${per_room} sockets`,
    settings,
    rows: [
      ...[[`as fast as it goes: ${senders} senders, ${window} message each under way`, closed] as const, ['the same, the peer’s acks on disk as well', durable] as const].flatMap(([part, fought]) => rowsOf(part, fought, [
        ['messages', '1/s', result => result.messages_per_s, atLeast(1.7)],
        ['deliveries', '1/s', result => result.deliveries_per_s],
        ['latency p50', 'ms', result => result.latency_ms.p50],
        ['latency p99', 'ms', result => result.latency_ms.p99],
        ['server CPU per delivery', 'µs', result => result.cpu_us_per_delivery, oneOver(1.7)],
      ])),
      ...rowsOf(`${rate} messages/s`, open, [
        ['latency p50', 'ms', result => result.latency_ms.p50],
        ['latency p99', 'ms', result => result.latency_ms.p99],
        ['ack p50 (durable; peer: not)', 'ms', result => result.ack_ms.p50],
        ['server CPU per delivery', 'µs', result => result.cpu_us_per_delivery],
      ]),
      ...rowsOf('as fast as it goes, projectors running', projected, [['messages', '1/s', result => result.messages_per_s, atLeast(1.2)]]),
      row('as fast as it goes, projectors running', 'caught up after the load', 's', caughtUp, undefined, atMost(3, 's')),
      ...rowsOf('projectors running, the peer’s acks on disk as well', projectedDurable, [['messages', '1/s', result => result.messages_per_s, atLeast(1.2)]]),
      row('memory', 'gateway RSS per socket', 'KB', [millrace.memory / 1000], peer === undefined ? undefined : [peer.memory / 1000]),
    ],
    verdicts: { millrace: await millrace.load.ask('judge'), ...(peer === undefined ? {} : { 'socket.io': await peer.load.ask('judge'), 'socket.io, durable': await equals.peer!.load.ask('judge') }) },
    raw: { closed, durable, open, projected, projectedDurable, caughtUp },
  }
}
