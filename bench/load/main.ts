/**
 * The load client: a process of its own, so that its work is not the server's. It is told what to do over IPC: `connect`, `closed`,
 * `open`, `judge`, and what `returners.ts` does with clients that come back. Ends when its parent does.
 */
import { request } from 'node:http'
import { uuidv7 } from '../../src/ids.ts'
import { createSign } from '../jwt.ts'
import { Connection } from './connection.ts'
import type { Dialect, Sink } from './dialect.ts'
import { createEvidence, type Verdict } from './evidence.ts'
import { createMillraceDialect } from './millrace.ts'
import { createPhases, parallel, type PhaseOptions, type PhaseResult, type Room, type Sender } from './phases.ts'
import { ADDRESSES } from './returner.ts'
import { createReturners, type ReturnRequests } from './returners.ts'
import { createSocketIoDialect } from './socket-io.ts'

const CONNECTING_MAX = 64
const PROBLEMS_MAX = 20

export interface Target {
  kind: 'millrace' | 'socket.io'
  host: string
  port: number
  /** Signs the tokens: the servers have the same. */
  privateKey: string
  /** Where the log is; Millrace only. */
  redisUrl?: string
  databaseUrl?: string
  partitions?: number
}

export interface ConnectRequest {
  rooms: number
  /** Sockets in each room, members that may send. */
  perRoom: number
  /** Rooms that one socket subscribes to. With more than one, `senders` sockets without a subscription send. */
  roomsPerSocket?: number
  senders?: number
  /** False: they only read. */
  joins: boolean
  sampleRooms: number
  sampleSockets: number
}

export interface Requests extends ReturnRequests {
  target: (request: Target) => Promise<void>
  connect: (request: ConnectRequest) => Promise<{ sockets: number, ms: number }>
  closed: (request: PhaseOptions & { senders: number, window: number }) => Promise<PhaseResult>
  open: (request: PhaseOptions & { rate: number }) => Promise<PhaseResult>
  judge: () => Promise<Verdict>
  roomIds: () => Promise<string[]>
  close: () => Promise<void>
}

const problems = new Set<string>()
let problemCount = 0
const problem = (text: string): void => {
  problemCount += 1
  if (problems.size < PROBLEMS_MAX) problems.add(text)
}
const evidence = createEvidence()
const phases = createPhases({ keepSent: evidence.keepSent, problem })
const sink: Sink = {
  ...phases.sink,
  problem,
  keep: evidence.keep,
  acked (connection, n) { if (!returning.acked(connection)) phases.sink.acked(connection, n) },
}
const rooms: Room[] = []
const connections: Connection[] = []
const extraSenders: Sender[] = []
let target!: Target
let dialect!: Dialect
let sign!: ReturnType<typeof createSign>
let hasExtraSenders = false

const users = new Map<number, string>()
function tokenOf (user: number): string {
  let user_id = users.get(user)
  if (user_id === undefined) users.set(user, user_id = uuidv7())
  return sign(user_id, uuidv7())
}

async function createRoom (token: string, name: string): Promise<string> {
  if (target.kind !== 'millrace') return uuidv7()
  const body = JSON.stringify({ name, kind: 'public' })
  return await new Promise((resolve, reject) => {
    const asked = request({ host: target.host, port: target.port, method: 'POST', path: '/rooms', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'content-length': body.length } }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', chunk => { text += chunk }).on('end', () => {
        if (response.statusCode === 201) resolve((JSON.parse(text) as { id: string }).id)
        else reject(new Error(`no room: ${response.statusCode} ${text}`))
      })
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

async function open (index: number, user: number, slot: number): Promise<Connection> {
  const connection = new Connection({ host: target.host, port: target.port, path: dialect.path, localAddress: `127.0.0.${2 + index % ADDRESSES}`, index, slot, onText: dialect.onText, onFailure: problem })
  connections.push(connection)
  await connection.opened
  await dialect.greet(connection, tokenOf(user))
  return connection
}

const returning = createReturners({ problem, evidence, kind: () => target.kind, dialect: () => dialect, tokenOf, tokenFor: userId => sign(userId, uuidv7()), createRoom })

const requests: Requests = {
  ...returning.requests,

  async target (given) {
    target = given
    sign = createSign(target.privateKey)
    dialect = target.kind === 'millrace' ? createMillraceDialect(sink) : createSocketIoDialect(sink)
    phases.use(dialect)
  },

  /** Makes rooms and sockets, in addition to those that there are. All have joined before the first subscribes. */
  async connect ({ rooms: count, perRoom, roomsPerSocket = 1, senders = 0, joins, sampleRooms, sampleSockets }) {
    const began = performance.now()
    const first = connections.length
    const made: Room[] = Array.from({ length: count }, (_, r) => ({ id: '', members: [], sentBy: Array.from({ length: senders > 0 ? senders : perRoom }, () => 0), sampled: r < sampleRooms }))
    hasExtraSenders = senders > 0
    // The first user of a room makes it; who sends to many rooms made them all.
    await parallel(made, 32, async (room, r) => { Object.assign(room, { id: await createRoom(tokenOf(hasExtraSenders ? -1 : first + r * perRoom), `bench ${rooms.length + r}`) }) })

    const plan: Array<{ index: number, user: number, slot: number, rooms: Room[] }> = []
    if (roomsPerSocket === 1) made.forEach((room, r) => { for (let slot = 0; slot < perRoom; slot++) plan.push({ index: first + r * perRoom + slot, user: first + r * perRoom + slot, slot, rooms: [room] }) })
    else for (let r = 0; r < count; r += roomsPerSocket) plan.push({ index: first + plan.length, user: first + plan.length, slot: -1, rooms: made.slice(r, r + roomsPerSocket) })
    const opened: Connection[] = []
    await parallel(plan, CONNECTING_MAX, async ({ index, user, slot, rooms }, i) => {
      const connection = opened[i] = await open(index, user, slot)
      for (const room of rooms) room.members[slot < 0 ? 0 : slot] = connection
      connection.keepsAcks = rooms.some(room => room.sampled)
      connection.sampled = connection.keepsAcks && slot < sampleSockets
      if (joins && slot > 0) await dialect.join(connection, rooms[0]!.id)
    })
    await parallel(plan, CONNECTING_MAX, async ({ rooms }, i) => { await dialect.enter(opened[i]!, rooms.map(({ id }) => id), joins, rooms[0]!.sentBy.length) })
    for (let s = 0; s < senders; s++) {
      const connection = await open(first + plan.length + s, -1, s)
      connection.onSetup = undefined
      connection.keepsAcks = sampleRooms > 0
      extraSenders.push({ connection, rooms: made, at: Math.floor(s * count / senders) })
      for (const room of made) if (room.sampled) room.members.push(connection)
    }
    rooms.push(...made)
    return { sockets: connections.length, ms: performance.now() - began }
  },

  async closed ({ senders, window, ...options }) {
    return await phases.closed(rooms, sendersOf().slice(0, senders), window, options)
  },

  async open ({ rate, ...options }) {
    return await phases.open(rooms, sendersOf(), rate, options)
  },

  async judge () {
    const all = [...rooms, ...returning.rooms]
    const verdict = target.kind === 'millrace' ? await evidence.judge(all, { redisUrl: target.redisUrl!, partitions: target.partitions!, ...target.databaseUrl === undefined ? {} : { databaseUrl: target.databaseUrl } }) : evidence.judgePeer(all)
    const said = [...problems, ...problemCount > problems.size ? [`… ${problemCount} in all`] : [], ...verdict.problems]
    return { ...verdict, ok: said.length === 0, problems: said }
  },

  roomIds: async () => rooms.map(({ id }) => id),

  async close () {
    for (const connection of connections) connection.close()
  },
}

/** Everyone who may send: room after room, first all with slot 0, then all with slot 1, … */
function sendersOf (): Sender[] {
  if (hasExtraSenders) return extraSenders
  const slots = Math.max(...rooms.map(({ members }) => members.length))
  return Array.from({ length: slots }, (_, slot) => rooms.flatMap(room => room.members[slot] === undefined ? [] : [{ connection: room.members[slot], rooms: [room], at: 0 }])).flat()
}

process.on('disconnect', () => process.exit(0))
process.on('message', ({ id, name, request }: { id: number, name: keyof Requests, request: never }) => {
  requests[name](request).then(
    answer => { process.send!({ id, answer }) },
    (error: Error) => { process.send!({ id, error: `${error.message}${problems.size > 0 ? ` (${[...problems].slice(0, 3).join('; ')})` : ''}` }) }
  )
})
