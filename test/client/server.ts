// A server that does as it is told, for what a real one does only in misfortune: it answers hello with welcome, remembers every frame,
// and leaves the rest to the test. It keeps no log and checks nothing: end-to-end tests have the real one.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { WebSocketServer, type WebSocket } from 'ws'
import type { Teardown } from '../e2e/world.ts'
import { connect, type ConnectOptions } from '../../src/client/client.ts'
import type { Frame } from '../client.ts'
import { until } from '../until.ts'

export const ROOM = '01a1f9e1-d982-74c6-a894-9d02ed2c3054'
export const OTHER = '01a1f9e1-d982-74c6-a894-9d02ed2c3055'

export interface ToldServer {
  readonly url: string
  /** Everything that came, over all connections. */
  readonly frames: Frame[]
  /** How often somebody has connected. */
  readonly connections: () => number
  /** To whoever is connected. */
  send: (...frames: Frame[]) => void
  /** Ends the connections, with a `bye` before it for codes of our own. */
  close: (code: number, bye?: object) => void
  /** The first frame of this type that was not asked for before. */
  next: (type: string, where?: (frame: Frame) => boolean) => Promise<Frame>
  /** Where a subscription without a position begins. */
  head: { seq: number, chain: string }
  /** What is said to a frame, besides acks of subscriptions, which it always gives; undefined: nothing. */
  answer: (frame: Frame) => Frame | undefined | Frame[]
}

export async function startToldServer (t: Teardown, { welcome = {} }: { welcome?: object } = {}): Promise<ToldServer> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/ws' })
  await once(server, 'listening')
  const sockets = new Set<WebSocket>()
  const taken = new WeakSet<Frame>()
  let connections = 0
  t.teardown(async () => {
    for (const socket of sockets) socket.terminate()
    server.close()
    await once(server, 'close')
  })
  const told: ToldServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    frames: [],
    head: { seq: 0, chain: 'start' },
    connections: () => connections,
    send (...frames) { for (const socket of sockets) for (const frame of frames) socket.send(JSON.stringify(frame)) },
    close (code, bye) {
      for (const socket of sockets) {
        if (bye !== undefined) socket.send(JSON.stringify({ type: 'bye', code, reason: 'told so', retry_after_ms: 0, resume: code < 4200, ...bye }))
        socket.close(code)
      }
    },
    async next (type, where = () => true) {
      const found = await until(() => told.frames.find(frame => frame.type === type && !taken.has(frame) && where(frame)), { timeoutMs: 30_000, what: `a ${type}; there came ${JSON.stringify(told.frames.slice(-5))}` })
      taken.add(found!)
      return found!
    },
    answer: () => undefined,
  }
  server.on('connection', socket => {
    connections++
    sockets.add(socket)
    socket.on('close', () => { sockets.delete(socket) })
    socket.on('message', data => {
      const frame = JSON.parse(String(data)) as Frame
      told.frames.push(frame)
      const answers = [told.answer(frame) ?? []].flat()
      if (frame.type === 'subscribe' && !answers.some(({ ref }) => ref === frame.ref)) answers.unshift({ type: 'ack', ref: frame.ref, room_id: frame.room_id, ...frame.after ?? told.head })
      if (frame.type === 'hello' && frame.ref !== undefined) answers.unshift({ type: 'ack', ref: frame.ref })
      if (frame.type === 'hello' && !answers.some(({ type }) => type === 'welcome')) answers.push({ type: 'welcome', session_id: 's', user_id: 'me', heartbeat_ms: 25_000, limits: {}, server_time: new Date().toISOString(), ...welcome })
      for (const answer of answers) socket.send(JSON.stringify(answer))
    })
  })
  return told
}

/** A message of a room whose history is called `branch`. */
export function message (room_id: string, seq: number, branch = 'a', more: object = {}): Frame {
  return { type: 'message', room_id, seq, chain: chainOf(seq, branch), event_id: `${branch}-${seq}`, user_id: 'other', timestamp: '2026-11-20T10:00:00.123Z', v: 1, content: `${branch}${seq}`, ...more }
}

export function chainOf (seq: number, branch = 'a'): string {
  return `${branch}${seq}`
}

/** All events of the room from seq `from` to `to`, as after a subscription. */
export const run = (from: number, to: number, branch = 'a'): Frame[] => Array.from({ length: to - from + 1 }, (_, i) => message(ROOM, from + i, branch))
export const live = (seq: number, branch = 'a'): Frame => ({ type: 'live', room_id: ROOM, seq, chain: chainOf(seq, branch) })
export const acks = ({ ref, room_id }: Frame, seq: number): Frame => ({ type: 'ack', ref, room_id, seq, chain: chainOf(seq), event_id: `a-${seq}`, duplicate: false, durability: 'fsync' })

/** A client of this server. */
export function open (t: Teardown, { url }: ToldServer, options: Partial<ConnectOptions> = {}) {
  const client = connect({ url, token: 'a token', backOff: { baseMs: 20, capMs: 100 }, ...options })
  t.teardown(async () => { await client.close() })
  return client
}
