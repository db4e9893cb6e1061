/**
 * The peer: a chat server on Socket.IO 4 with @socket.io/redis-streams-adapter, as its documentation has it, websocket transport
 * only. It verifies the same kind of EdDSA JWT once per connection; a message goes to its room
 * through the adapter, and its ack callback is called at once. So an ack says that the server took the message: not that it was
 * written anywhere; unless ACKS is `written`: then it is called once the adapter has Redis' answer to the XADD. No read models, no history.
 * Connection state recovery is off, as by default, unless RECOVERY is `on`: then with its
 * defaults, and SIGTERM closes the server as its documentation has it, which lets sessions be recovered elsewhere.
 *
 * Installed by `npm ci --prefix bench`. Environment: REDIS_URL, JWT_PRIVATE_KEY, PORT (0: a free one), RECOVERY, ACKS.
 */
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { uuidv7 } from '../../src/ids.ts'
import { createVerify } from '../jwt.ts'

const load = createRequire(import.meta.url) // so that types and import rules hold without the optional install
const { Server } = load('socket.io')
const { createAdapter } = load('@socket.io/redis-streams-adapter')
const { createClient } = load('redis')

const { REDIS_URL, JWT_PRIVATE_KEY, PORT = '0', RECOVERY = 'off', ACKS = 'taken' } = process.env
/** Time for what closing writes to Redis. */
const CLOSING_MS = 500
const verify = createVerify(JWT_PRIVATE_KEY!)
const redis = createClient({ url: REDIS_URL })
await redis.connect()

const http = createServer()
const io = new Server(http, {
  transports: ['websocket'],
  serveClient: false,
  adapter: createAdapter(redis, { onlyPlaintext: true }), // spares the peer a walk through every message in search of buffers
  ...RECOVERY === 'on' ? { connectionStateRecovery: {} } : {},
})

io.use((socket: any, next: (error?: Error) => void) => {
  const userId = verify(String(socket.handshake.auth.token))
  if (userId === undefined) return next(new Error('unauthenticated'))
  socket.data.user_id = userId
  next()
})

const EVENT = 2
/** As `emit` of a room does it, but resolves once the adapter has an answer, and has sent it to the sockets of this server. */
const written = async (roomId: string, message: object): Promise<void> => {
  await io.of('/').adapter.broadcast({ type: EVENT, data: ['message', message] }, { rooms: new Set([roomId]), except: new Set(), flags: {} })
}

io.on('connection', (socket: any) => {
  socket.on('subscribe', (roomIds: string[], ack: (answer: object) => void) => {
    socket.join(roomIds)
    ack({ ok: true })
  })
  socket.on('message', ({ room_id, client_id, content }: Record<string, unknown>, ack: (answer: object) => void) => {
    if (typeof content !== 'string' || content.length === 0 || content.length > 8000 || !socket.rooms.has(room_id)) return ack({ error: 'bad_frame' })
    const event_id = uuidv7()
    const message = { content, room_id, event_id, user_id: socket.data.user_id, timestamp: new Date().toISOString(), client_id }
    if (ACKS === 'written') return void written(String(room_id), message).then(() => { ack({ event_id }) })
    io.to(room_id).emit('message', message)
    ack({ event_id })
  })
})

http.listen(Number(PORT), '127.0.0.1', () => { process.send?.({ url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` }) })
process.on('SIGTERM', () => {
  if (RECOVERY !== 'on') process.exit(0)
  io.close()
  setTimeout(() => process.exit(0), CLOSING_MS)
})
process.on('disconnect', () => process.exit(0))
