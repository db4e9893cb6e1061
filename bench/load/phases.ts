/**
 * The load itself. Closed-loop: every sender has `window` messages under way, and sends the next when one of its own was both
 * acked and delivered back to it; for throughput. Open-loop: messages are due at a given rate whatever the server does, and
 * latency counts from when they were due; for latency. What comes in the warm-up is not counted, but is checked.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuOf } from '../proc.ts'
import type { Connection } from './connection.ts'
import { clientIdOf, contentOf, type Dialect, type Sink } from './dialect.ts'

const DRAIN_MS = 20_000

export interface Room {
  readonly id: string
  readonly members: Connection[]
  /** Messages sent by each slot. */
  readonly sentBy: number[]
  sampled: boolean
}

/** A sender: a connection, and the room that it sends to next. */
export interface Sender {
  readonly connection: Connection
  readonly rooms: Room[]
  at: number
}

export interface Latency { p50: number, p90: number, p99: number, p999: number, max: number, mean: number, count: number }

export interface PhaseResult {
  seconds: number
  messages: number
  deliveries: number
  messages_per_s: number
  deliveries_per_s: number
  /** From when it was due (open loop) or sent to its delivery, ms. */
  latency_ms: Latency
  /** The same to the ack. */
  ack_ms: Latency
  /** How late the load client itself sent, ms: a floor under the latencies of the open loop. */
  late_ms: Latency
  cpu: { gateway_s: number, redis_s: number, client_s: number }
  /** Server CPU (gateway and its Redis). */
  cpu_us_per_delivery: number
  cpu_us_per_message: number
  drain_ms: number
}

export interface PhaseOptions {
  warm_s: number
  seconds: number
  pids: { gateway: number, redis: number }
}

const nowUs = (): number => performance.now() * 1000
export const microseconds = (): RecordableHistogram => createHistogram({ lowest: 1, highest: 100_000_000, figures: 3 })

export function latencyOf (histogram: RecordableHistogram): Latency {
  const ms = (us: number): number => histogram.count === 0 ? Number.NaN : us / 1000
  const at = (percentile: number): number => ms(histogram.percentile(percentile))
  return { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: ms(histogram.max), mean: ms(histogram.mean), count: histogram.count }
}

/** Works on all items, at most `max` at a time. */
export async function parallel<T> (items: readonly T[], max: number, work: (item: T, i: number) => Promise<void>): Promise<void> {
  let next = 0
  await Promise.all(Array.from({ length: Math.min(max, items.length) }, async () => {
    while (next < items.length) {
      const i = next++
      await work(items[i]!, i)
    }
  }))
}

export type Phases = ReturnType<typeof createPhases>

/** @param keepSent told of every message of a sampled room, before it is sent */
export function createPhases ({ keepSent, problem }: { keepSent: (connection: Connection, roomId: string, clientId: string, content: string) => void, problem: Sink['problem'] }) {
  let dialect!: Dialect
  let mode: 'idle' | 'closed' | 'open' = 'idle'
  let window = 0
  let messages = 0
  let deliveries = 0
  let senders = new Map<Connection, Sender>()
  let delivery = microseconds()
  let ack = microseconds()
  let late = microseconds()
  const touched = new Set<Connection>()

  function send (sender: Sender, dueUs: number): void {
    const { connection } = sender
    const room = sender.rooms[sender.at]!
    sender.at = (sender.at + 1) % sender.rooms.length
    const n = ++connection.sent
    const inRoom = room.sentBy[connection.slot] = room.sentBy[connection.slot]! + 1
    const content = contentOf(connection.slot, inRoom, dueUs)
    const clientId = clientIdOf(connection.index, n)
    connection.noteSent(n, dueUs)
    if (room.sampled) keepSent(connection, room.id, clientId, content)
    connection.push(dialect.messageOf(n, room.id, clientId, content))
  }

  /** Keeps the window of a sender full. */
  function topUp (connection: Connection): void {
    const sender = senders.get(connection)
    if (sender === undefined) return
    while (connection.sent - Math.min(connection.acked, connection.own) < window) send(sender, nowUs())
  }

  const sink = {
    delivered (connection: Connection, slot: number, dueUs: number): void {
      deliveries += 1
      const own = slot === connection.slot
      if (own) connection.own += 1
      if (mode === 'open') delivery.record(Math.max(1, Math.round(nowUs() - dueUs)))
      else if (own && mode === 'closed') {
        delivery.record(Math.max(1, Math.round(nowUs() - dueUs)))
        topUp(connection) // the connection flushes when its read is used up
      }
    },
    acked (connection: Connection, n: number): void {
      messages += 1
      connection.acked += 1
      if (mode === 'idle') return
      ack.record(Math.max(1, Math.round(nowUs() - connection.sentAtOf(n))))
      if (mode === 'closed') topUp(connection)
    },
  }

  async function measured (rooms: readonly Room[], { warm_s, seconds, pids }: PhaseOptions): Promise<PhaseResult> {
    await sleep(warm_s * 1000)
    const look = () => ({ at: performance.now(), messages, deliveries, gateway: cpuOf([pids.gateway]), redis: cpuOf([pids.redis]), client: cpuOf([process.pid]) })
    delivery = microseconds()
    ack = microseconds()
    late = microseconds()
    const a = look()
    await sleep(seconds * 1000)
    const b = look()
    const [latency_ms, ack_ms, late_ms] = [latencyOf(delivery), latencyOf(ack), latencyOf(late)]
    mode = 'idle'
    const took = (b.at - a.at) / 1000
    const cpu = { gateway_s: b.gateway - a.gateway, redis_s: b.redis - a.redis, client_s: b.client - a.client }
    const server = (cpu.gateway_s + cpu.redis_s) * 1e6
    return {
      seconds: took,
      messages: b.messages - a.messages,
      deliveries: b.deliveries - a.deliveries,
      messages_per_s: (b.messages - a.messages) / took,
      deliveries_per_s: (b.deliveries - a.deliveries) / took,
      latency_ms,
      ack_ms,
      late_ms,
      cpu,
      cpu_us_per_delivery: server / (b.deliveries - a.deliveries),
      cpu_us_per_message: server / (b.messages - a.messages),
      drain_ms: await drained(rooms),
    }
  }

  /** Until everything that was sent is acked and was delivered to everybody. */
  async function drained (rooms: readonly Room[]): Promise<number> {
    const began = performance.now()
    for (;;) {
      const behind = missing(rooms)
      if (behind === undefined) return performance.now() - began
      if (performance.now() - began > DRAIN_MS) {
        problem(`after ${DRAIN_MS} ms: ${behind}`)
        return Number.NaN
      }
      await sleep(5)
    }
  }

  function missing (rooms: readonly Room[]): string | undefined {
    for (const { connection } of senders.values()) if (connection.acked !== connection.sent) return `socket ${connection.index} has ${connection.acked} acks for ${connection.sent} messages`
    for (const { id, members, sentBy } of rooms) {
      const sent = sentBy.reduce((sum, n) => sum + n, 0)
      for (const { index, places } of members) {
        const received = places.get(id)?.received ?? sent // who does not subscribe gets nothing
        if (received !== sent) return `socket ${index} has ${received} of ${sent} messages of its room`
      }
    }
  }

  return {
    sink,
    use (itsDialect: Dialect) { dialect = itsDialect },

    async closed (rooms: readonly Room[], who: Sender[], itsWindow: number, options: PhaseOptions): Promise<PhaseResult> {
      senders = new Map(who.map(sender => [sender.connection, sender]))
      window = itsWindow
      mode = 'closed'
      for (const { connection } of who) {
        topUp(connection)
        connection.flush()
      }
      return await measured(rooms, options)
    },

    async open (rooms: readonly Room[], who: Sender[], perSecond: number, options: PhaseOptions): Promise<PhaseResult> {
      senders = new Map(who.map(sender => [sender.connection, sender]))
      mode = 'open'
      const began = nowUs()
      let next = 0
      const tick = (): void => {
        if (mode !== 'open') return
        const now = nowUs()
        for (let due = began; ; next++) {
          due = began + next * 1e6 / perSecond
          if (due > now) break
          const sender = who[next % who.length]!
          late.record(Math.max(1, Math.round(now - due)))
          send(sender, due)
          touched.add(sender.connection)
        }
        for (const connection of touched) connection.flush()
        touched.clear()
        setTimeout(tick, 1)
      }
      tick()
      return await measured(rooms, options)
    },
  }
}
