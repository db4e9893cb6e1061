/**
 * The gateway: `GET /ws` on a Fastify server, its connections, their heartbeats and their end. Upgrades pass a token bucket and
 * the caps on connections; a stopping gateway says `bye` to all, with retry times that spread their return [G7].
 */
import websocket from '@fastify/websocket'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { resolveRoomId } from '../domain/lobby.ts'
import { REJECTIONS, reject, type Rejection } from '../domain/rejections.ts'
import { addressKey } from '../limits/addresses.ts'
import { TokenBucket } from '../limits/bucket.ts'
import type { Limits } from '../limits/limits.ts'
import { VERSION } from '../version.ts'
import { ABOUT_DOCUMENT, ABOUT_SOCKET, asyncapiOf, SUBPROTOCOL } from './asyncapi.ts'
import { CLOSE } from './close-codes.ts'
import { createHub } from './hub.ts'
import { createOutboxes, forgetUpgrade } from './outbox.ts'
import { createResume, type ResumeOptions } from './resume.ts'
import { Connection, type Arrival, type SocketOptions } from './socket.ts'
import { createStreams, type StreamOpening } from './streams.ts'
import { createSubscriptions } from './subscriptions.ts'
import { createTurn } from './turn.ts'
import type { Revocations } from '../log/revocations.ts'
import type { Marks } from '../log/marks.ts'
import type { PresenceLeases } from '../log/presence.ts'
import type { Publisher } from '../log/publisher.ts'
import type { Signals } from '../log/signals.ts'
import type { Tail } from '../log/tail.ts'
import { createMarkFrames } from './marks.ts'
import { createMemberships, type MembershipsOptions } from './memberships.ts'
import { createPeople } from './people.ts'
import { startPresence, type PresenceOptions } from './presence.ts'
import { createReadings } from './readings.ts'
import { createTyping } from './typing.ts'

/** Heartbeats are spread over this many slices of the interval. */
const SLICES = 25
/** After a restart, clients return spread over this time. */
const RETURN_MS = 5000
/** When to come again to a gateway that stops, has as many connections as it takes, or is come to by too many at once. */
const STOPPING_RETRY_MS = 2000
const FULL_RETRY_MS = 10_000
const TOO_FAST_RETRY_MS = 1000
const TOO_MANY_HERE = 'This gateway takes no more connections now'

export interface GatewayOptions extends Pick<SocketOptions, 'config' | 'commands' | 'direct' | 'ensureInbox' | 'verify' | 'redeem' | 'newId' | 'clock' | 'metrics' | 'logger'>, Pick<ResumeOptions, 'log' | 'readArchive' | 'archivedAt' | 'holeAfter' | 'access'>, Pick<MembershipsOptions, 'recentRooms' | 'roomsOf'> {
  tail: Tail
  revocations: Pick<Revocations, 'onRevoked' | 'has'>
  /** Whether one of the two has blocked the other. */
  blocked: (one: string, other: string) => Promise<boolean>
  limits: Limits
  signals: Signals
  publisher: Publisher
  marks: Marks
  presenceLeases: PresenceLeases
  audiencesOf: PresenceOptions['audiencesOf']
  noteLastSeen: PresenceOptions['noteLastSeen']
}

export interface Gateway {
  connections: () => number
  /** Opens a stream of server-sent events, or says why not; then nothing was written. */
  openStream: (opening: StreamOpening) => Rejection | undefined
  /** Says `bye` to every connection and lets no more in. Resolves when all are gone, or after `graceMs`. */
  stop: (graceMs: number) => Promise<void>
}

/** Adds `/ws` to the server. */
export async function createGateway (app: FastifyInstance, options: GatewayOptions): Promise<Gateway> {
  const { config, clock, metrics, logger, tail, revocations, blocked, limits, log, readArchive, archivedAt, holeAfter, access, recentRooms, roomsOf } = options
  const unlimited = config.RATE_LIMITS === 'off'
  const connections = new Map<Connection, number>() // → its slice of the heartbeat interval
  const perUser = new Map<string, number>()
  const upgrades = new TokenBucket(config.UPGRADES_PER_SECOND, 2 * config.UPGRADES_PER_SECOND, clock())
  const turn = createTurn()
  const hub = createHub({ tail, turn, metrics, clock, lingerMs: config.LINGER_S * 1000 }) // its phase comes first: what it fans out is written in the same turn
  const { signals, publisher, presenceLeases: leases, audiencesOf, noteLastSeen } = options
  const readings = createReadings({ access, clock })
  const typing = createTyping({ readings, publisher, blocked, clock, metrics })
  const marks = createMarkFrames({ marks: options.marks, access, readings })
  const subscriptions = createSubscriptions({ hub, access, resume: createResume({ log, readArchive, archivedAt, ...(holeAfter === undefined ? {} : { holeAfter }), access, metrics }), onLive: marks.greet, onDropped: (connection, roomId) => { memberships.forget(connection, roomId) }, config, metrics, logger })
  const memberships = createMemberships({ subscriptions, roomsOf, recentRooms, access, marks: options.marks, roomsMax: config.SUBSCRIPTIONS_MAX, logger })
  const people = createPeople({ signals, subscriptions, onMembership: (...change) => { void memberships.onChanged(...change) }, metrics, onChange: (userId, gone) => { presence.changed(userId, gone === undefined ? undefined : subscriptions.roomsOf(gone)) } })
  const presence = startPresence({
    leases,
    publisher,
    audiencesOf,
    noteLastSeen,
    // Who reads a stream says nothing of themselves: they are online.
    statusOf: userId => streams.isReader(userId) ? 'online' : people.statusOf(userId),
    * here () {
      yield * people.here()
      for (const userId of streams.readers()) if (people.statusOf(userId) === undefined) yield userId
    },
    roomsOf: userId => [...people.of(userId).flatMap(socket => [...subscriptions.roomsOf(socket)]), ...streams.roomsOf(userId)],
    leaseMs: config.PRESENCE_LEASE_MS,
    roomMax: config.PRESENCE_ROOM_MAX,
    clock,
    metrics,
    logger,
  })
  const outboxes = createOutboxes({ bytesMax: config.OUTBOX_BYTES_MAX, turn, onSent: type => { metrics.framesOut.inc({ type }) }, onSlow: kind => { metrics.slowConsumers.inc({ kind }) } })
  turn.add(hub.written)
  const deps: SocketOptions = {
    ...options,
    memberships,
    people,
    typing,
    marks,
    subscriptions,
    outboxes,
    admit (userId) {
      const count = perUser.get(userId) ?? 0
      if (!unlimited && count >= config.CONNECTIONS_PER_USER_MAX) return false
      perUser.set(userId, count + 1)
      return true
    },
    release (userId) {
      const count = (perUser.get(userId) ?? 1) - 1
      if (count === 0) perUser.delete(userId)
      else perUser.set(userId, count)
    },
  }
  const streams = createStreams({
    ...deps,
    isRevoked: revocations.has,
    outboxes,
    admit (userId) {
      const retryMs = stopping ? STOPPING_RETRY_MS : unlimited ? 0 : isFull() ? FULL_RETRY_MS : upgrades.take(clock()) > 0 ? TOO_FAST_RETRY_MS : 0
      if (retryMs > 0) return reject('overloaded', TOO_MANY_HERE, retryMs)
      return deps.admit(userId) ? undefined : reject('too_many', CLOSE.too_many_connections.reason)
    },
    onReader: (userId, rooms) => { presence.changed(userId, rooms) },
    roomsMax: config.SUBSCRIPTIONS_MAX,
  })
  const isFull = (): boolean => connections.size + streams.count() >= config.CONNECTIONS_MAX
  let stopping = false
  let slice = 0

  await app.register(websocket, {
    options: {
      maxPayload: config.FRAME_BYTES_MAX,
      clientTracking: false,
      perMessageDeflate: false,
      // One that we do not speak is taken and closed with 4201: without any, clients give up before they see the code.
      handleProtocols: protocols => protocols.has(SUBPROTOCOL) ? SUBPROTOCOL : [...protocols][0] ?? false,
    },
    errorHandler: (error, socket) => {
      // What is wrong with a frame or with TCP comes here too. ws ends those itself, with 1002, 1007 or 1009, which must not be cut off.
      const { code = '', syscall } = error as NodeJS.ErrnoException
      if (syscall !== undefined || code.startsWith('WS_ERR_') || code.startsWith('ERR_STREAM_')) return
      logger.error({ err: error }, 'a connection failed')
      socket.terminate()
    },
  })

  const sendProblem = async (reply: FastifyReply, { code, message, retry_after_ms }: Rejection): Promise<void> => {
    const { status, message: title } = REJECTIONS[code]
    if (retry_after_ms !== undefined) reply.header('retry-after', Math.ceil(retry_after_ms / 1000))
    await reply.code(status).type('application/problem+json').send({ type: `urn:millrace:problem:${code}`, title, status, code, detail: message, retry_after_ms })
  }

  app.route({
    method: 'GET',
    url: '/ws',
    schema: ABOUT_SOCKET,
    onRequest: async ({ ip }, reply) => {
      const refuse = async (result: string, retryMs: number): Promise<void> => {
        metrics.upgrades.inc({ result })
        await sendProblem(reply, reject('overloaded', TOO_MANY_HERE, retryMs))
      }
      if (stopping) return await refuse('stopping', STOPPING_RETRY_MS)
      if (unlimited) return
      if (isFull()) return await refuse('full', FULL_RETRY_MS)
      const waitMs = await limits.spend('upgrades', addressKey(ip)) // before the bucket of all, so that one address does not empty it
      if (waitMs > 0) {
        metrics.upgrades.inc({ result: 'too many of one address' })
        return await sendProblem(reply, reject('rate_limited', undefined, waitMs))
      }
      if (upgrades.take(clock()) > 0) return await refuse('too fast', TOO_FAST_RETRY_MS)
    },
    handler: async (_request, reply) => { await sendProblem(reply.header('upgrade', 'websocket'), reject('upgrade_required')) },
    wsHandler: (ws: WebSocket, request: FastifyRequest) => {
      const offered = request.headers['sec-websocket-protocol']
      metrics.upgrades.inc({ result: 'accepted' })
      forgetUpgrade(ws)
      const connection = new Connection(ws, deps, arrivalOf(request))
      if (ws.readyState !== ws.OPEN) return // refused already
      slice = (slice + 1) % SLICES
      connections.set(connection, slice)
      metrics.connections.set(connections.size)
      ws.on('close', () => {
        connections.delete(connection)
        metrics.connections.set(connections.size)
      })
      if (offered !== undefined && ws.protocol !== SUBPROTOCOL) connection.end('bad_version')
    },
  })

  const document = JSON.stringify(asyncapiOf({ version: VERSION }))
  app.get('/docs/asyncapi.json', { schema: ABOUT_DOCUMENT }, async (_request, reply) => reply.type('application/json').send(document))

  let beat = 0
  const beating = setInterval(() => {
    beat = (beat + 1) % SLICES
    const now = clock()
    let waiting = 0
    for (const [connection, itsSlice] of connections) {
      connection.expire(now)
      if (itsSlice === beat) connection.beat()
      waiting += connection.outbox.bytes()
    }
    streams.tick(now)
    const { begun, waiting: inLine } = subscriptions.stats()
    metrics.catchUps.set({ state: 'begun' }, begun)
    metrics.catchUps.set({ state: 'waiting' }, inLine)
    metrics.outboxBytes.set(waiting + streams.waitingBytes())
  }, config.HEARTBEAT_MS / SLICES)

  const forget = revocations.onRevoked(sessionIds => {
    streams.onRevoked(sessionIds)
    for (const connection of connections.keys()) {
      if (connection.sessionId !== undefined && sessionIds.has(connection.sessionId)) connection.end('session_revoked')
    }
  })

  return {
    connections: () => connections.size,
    openStream: streams.open,
    async stop (graceMs) {
      stopping = true
      clearInterval(beating)
      typing.stop()
      await presence.stop() // before its people go: they are about to come back elsewhere
      forget()
      for (const connection of connections.keys()) connection.end('going_away', Math.floor(Math.random() * RETURN_MS))
      streams.stop(() => Math.floor(Math.random() * RETURN_MS))
      const deadline = clock() + graceMs
      while (connections.size + streams.count() > 0 && clock() < deadline) await new Promise(resolve => setTimeout(resolve, 20))
      for (const connection of connections.keys()) connection.cut() // they do not answer the close
      streams.cut()
    },
  }
}

/** What the URL and the headers say. A token in the URL is allowed, and never logged. */
function arrivalOf ({ query, headers }: FastifyRequest): Arrival {
  const { token, ticket, room_id, after } = query as Record<string, unknown>
  const [, bearer] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? []
  const room = typeof room_id === 'string' ? resolveRoomId(room_id) : undefined
  const seq = typeof after === 'string' && /^\d{1,16}$/.test(after) ? Number(after) : undefined
  const afterIsWrong = after !== undefined && (seq === undefined || !Number.isSafeInteger(seq))
  return {
    token: bearer ?? (typeof token === 'string' && token !== '' ? token : undefined),
    ticket: typeof ticket === 'string' && ticket !== '' ? ticket : undefined,
    room_id: room,
    after: seq,
    // Left out they mean something else: no room, live from the head. So what cannot be read must be said.
    wrong: room_id !== undefined && room === undefined ? 'room_id' : afterIsWrong ? 'after' : undefined,
  }
}
