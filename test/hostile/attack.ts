// What the hostile tests share: a TCP socket that says whatever bytes it is told to after a proper upgrade, frames built by
// hand, and the proof that nobody else was harmed.
import { randomBytes, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { connect as dial, type Socket } from 'node:net'
import type { Test } from 'tap'
import type { Client, Frame } from '../client.ts'
import { until } from '../until.ts'
import type { millrace, Role } from '../e2e/world.ts'

export type World = Awaited<ReturnType<typeof millrace>>

export const CONTINUATION = 0
export const TEXT = 1
export const PING = 9

export interface FrameBits { opcode?: number, fin?: boolean, rsv?: number, masked?: boolean }

/** A frame as a client sends it (RFC 6455 §5.2), or as it must not. */
export function bytesOf (payload: string | Buffer, { opcode = TEXT, fin = true, rsv = 0, masked = true }: FrameBits = {}): Buffer {
  const data = Buffer.from(payload as string)
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode]
  const mask = masked ? 0x80 : 0
  if (data.length < 126) head.push(mask | data.length)
  else if (data.length < 65536) head.push(mask | 126, data.length >> 8, data.length & 0xff)
  else {
    const length = Buffer.alloc(8)
    length.writeBigUInt64BE(BigInt(data.length))
    head.push(mask | 127, ...length)
  }
  if (!masked) return Buffer.concat([Buffer.from(head), data])
  const key = randomBytes(4)
  for (let i = 0; i < data.length; i++) data[i]! ^= key[i & 3]!
  return Buffer.concat([Buffer.from(head), key, data])
}

export interface RawSocket {
  readonly socket: Socket
  /** The answer to the upgrade: status line and headers. */
  readonly head: string
  write: (bytes: Buffer) => void
  /** Texts of the frames that came so far. */
  texts: () => string[]
  /** The code of the close frame that came, 1006 if the connection ended without one. */
  closed: Promise<number>
  cut: () => void
}

/** Upgrades by hand. */
export async function upgrade (url: string, { token, path = '/ws', query = '', headers = {} }: { token?: string, path?: string, query?: string, headers?: Record<string, string> } = {}): Promise<RawSocket> {
  const { hostname, port } = new URL(url)
  const socket = dial(Number(port), hostname)
  let received = Buffer.alloc(0)
  let head = ''
  let code = 1006
  const texts: string[] = []
  let opened: () => void
  const open = new Promise<void>(resolve => { opened = resolve })
  const closed = new Promise<number>(resolve => socket.on('close', () => { opened(); resolve(code) }))
  socket.on('error', () => {})
  socket.on('data', chunk => {
    received = Buffer.concat([received, chunk])
    if (head === '') {
      const end = received.indexOf('\r\n\r\n')
      if (end < 0) return
      head = received.toString('latin1', 0, end)
      received = received.subarray(end + 4)
      opened()
    }
    for (;;) {
      if (received.length < 2) return
      const short = received[1]! & 0x7f
      const start = short < 126 ? 2 : short === 126 ? 4 : 10
      if (received.length < start) return
      const length = short < 126 ? short : short === 126 ? received.readUInt16BE(2) : Number(received.readBigUInt64BE(2))
      if (received.length < start + length) return
      const payload = received.subarray(start, start + length)
      const opcode = received[0]! & 0x0f
      if (opcode === TEXT) texts.push(payload.toString())
      else if (opcode === 8) {
        code = payload.length < 2 ? 1005 : payload.readUInt16BE(0)
        socket.end(bytesOf(Buffer.from(payload), { opcode: 8 }))
      }
      received = received.subarray(start + length)
    }
  })
  const lines = { ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }), ...headers }
  socket.write([
    `GET ${path}${query} HTTP/1.1`, `Host: ${hostname}:${port}`, 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`, ...Object.entries(lines).map(([name, value]) => `${name}: ${value}`), '', '',
  ].join('\r\n'), 'latin1')
  await open
  return { socket, get head () { return head }, write: bytes => { socket.write(bytes) }, texts: () => texts, closed, cut: () => { socket.destroy() } }
}

/** Resident bytes of a process. */
export function rssOf ({ pid }: Role): number {
  const [, kb] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? []
  return Number(kb) * 1024
}

export const MB = 1024 * 1024

/** A number in `/metrics`, summed over its labels that match. */
export async function metric (url: string, name: string, labels = ''): Promise<number> {
  const text = await (await fetch(new URL('/metrics', url))).text()
  return [...text.matchAll(new RegExp(`^${name}(?:\\{([^}]*)\\})? (\\S+)$`, 'gm'))].filter(([, has = '']) => has.includes(labels)).reduce((sum, [,, value]) => sum + Number(value), 0)
}

/** A client that does nothing wrong, connected before the attack. */
export interface Bystander { client: Client, room: string, pid: number, token: string }

export async function bystander (world: World): Promise<Bystander> {
  const { access_token: token } = await world.signup()
  const room = await world.room(token)
  const client = await world.connect(0, token)
  await client.subscribe(room)
  return { client, room, pid: world.gateways[0]!.pid, token }
}

/** The same process answers, and one who was there before the attack still speaks and hears over the same socket. */
export async function unharmed (t: Test, world: World, { client, room, pid }: Bystander, what = 'the others are unharmed'): Promise<void> {
  const content = `still here ${randomUUID()}`
  const health = await fetch(new URL('/healthz', world.urlOf(0)))
  const pong = await client.request({ type: 'ping' })
  const ack = await client.message(room, content)
  const heard = await client.next((frame: Frame) => frame.type === 'message' && frame.content === content)
  t.same([health.status, pong.type, ack.type, heard.seq, world.gateways[0]!.pid], [200, 'pong', 'ack', ack.seq, pid], what)
}

/** Waits until the gateway holds at most so many sockets. */
export async function untilConnections (world: World, atMost: number, timeoutMs = 60_000): Promise<void> {
  await until(async () => await metric(world.urlOf(0), 'millrace_connections') <= atMost, { timeoutMs, everyMs: 100, what: `at most ${atMost} connections` })
}

/** Subtests after each of which nobody else was harmed. */
export function attacks (t: Test, world: World, victim: Bystander) {
  return async (title: string, attack: (t: Test) => Promise<void>): Promise<void> => {
    await t.test(title, async t => {
      await attack(t)
      await unharmed(t, world, victim)
    })
  }
}
