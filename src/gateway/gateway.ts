/**
 * The gateway: `GET /ws` on a Fastify server, its connections, their heartbeats and their end. Upgrades pass a token bucket and
 * the caps on connections; a stopping gateway says `bye` to all, with retry times that spread their return [G7].
 */
import websocket from '@fastify/websocket'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { resolveRoomId } from '../domain/lobby.ts'
import { REJECTIONS, reject, type Rejection } from '../domain/rejections.ts'
import { TokenBucket } from './bucket.ts'
import { createHub } from './hub.ts'
import { createOutboxes, forgetUpgrade } from './outbox.ts'
import { createResume, type ResumeOptions } from './resume.ts'
import { Connection, type Arrival, type SocketOptions } from './socket.ts'
import { createSubscriptions } from './subscriptions.ts'
import { createTurn } from './turn.ts'
import type { Tail } from '../log/tail.ts'

const SUBPROTOCOL = 'millrace.v1'
/** Heartbeats are spread over this many slices of the interval. */
const SLICES = 25
/** After a restart, clients return spread over this time. */
const RETURN_MS = 5000

export interface GatewayOptions extends Pick<SocketOptions, 'config' | 'commands' | 'verify' | 'newId' | 'clock' | 'metrics' | 'logger'>, Pick<ResumeOptions, 'log' | 'readArchive' | 'access'> {
  tail: Tail
}

export interface Gateway {
  connections: () => number
  /** Says `bye` to every connection and lets no more in. Resolves when all are gone, or after `graceMs`. */
  stop: (graceMs: number) => Promise<void>
}

/** Adds `/ws` to the server. */
export async function createGateway (app: FastifyInstance, options: GatewayOptions): Promise<Gateway> {
  const { config, clock, metrics, logger, tail, log, readArchive, access } = options
  const unlimited = config.RATE_LIMITS === 'off'
  const connections = new Map<Connection, number>() // → its slice of the heartbeat interval
  const perUser = new Map<string, number>()
  const upgrades = new TokenBucket(config.UPGRADES_PER_SECOND, 2 * config.UPGRADES_PER_SECOND, clock())
  const turn = createTurn()
  const hub = createHub({ tail, turn, metrics, clock }) // its phase comes first: what it fans out is written in the same turn
  const deps: SocketOptions = {
    ...options,
    outboxes: createOutboxes({ bytesMax: config.OUTBOX_BYTES_MAX, turn }),
    subscriptions: createSubscriptions({ hub, access, resume: createResume({ log, readArchive, access, metrics }), config, metrics, logger }),
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
    onRequest: async (_request, reply) => {
      const refuse = async (result: string, retryAfterS: number): Promise<void> => {
        metrics.upgrades.inc({ result })
        await sendProblem(reply, reject('overloaded', 'This gateway takes no more connections now', retryAfterS * 1000))
      }
      if (stopping) return await refuse('stopping', 2)
      if (unlimited) return
      if (connections.size >= config.CONNECTIONS_MAX) return await refuse('full', 10)
      if (upgrades.take(clock()) > 0) return await refuse('too fast', 1)
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

  let beat = 0
  const beating = setInterval(() => {
    beat = (beat + 1) % SLICES
    const now = clock()
    let waiting = 0
    for (const [connection, itsSlice] of connections) {
      if (itsSlice === beat) connection.beat(now)
      waiting += connection.outbox.bytes()
    }
    metrics.outboxBytes.set(waiting)
  }, config.HEARTBEAT_MS / SLICES)

  return {
    connections: () => connections.size,
    async stop (graceMs) {
      stopping = true
      clearInterval(beating)
      for (const connection of connections.keys()) connection.end('going_away', Math.floor(Math.random() * RETURN_MS))
      const deadline = clock() + graceMs
      while (connections.size > 0 && clock() < deadline) await new Promise(resolve => setTimeout(resolve, 20))
      for (const connection of connections.keys()) connection.cut() // they do not answer the close
    },
  }
}

/** What the URL and the headers say. A token in the URL is allowed, and never logged. */
function arrivalOf ({ query, headers }: FastifyRequest): Arrival {
  const { token, room_id, after } = query as Record<string, unknown>
  const [, bearer] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? []
  const room = typeof room_id === 'string' ? resolveRoomId(room_id) : undefined
  const seq = typeof after === 'string' && /^\d{1,16}$/.test(after) ? Number(after) : undefined
  const afterIsWrong = after !== undefined && (seq === undefined || !Number.isSafeInteger(seq))
  return {
    token: bearer ?? (typeof token === 'string' && token !== '' ? token : undefined),
    room_id: room,
    after: seq,
    // Left out they mean something else: no room, live from the head. So what cannot be read must be said.
    wrong: room_id !== undefined && room === undefined ? 'room_id' : afterIsWrong ? 'after' : undefined,
  }
}
