// Reading frames: what is good comes out as it was sent, what is not is refused with the field; and the frozen frames of v1 are
// read as they were on the day they were written.
import { EventEmitter } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import type { WebSocket } from 'ws'
import { loadConfig } from '../../src/config.ts'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { reject } from '../../src/domain/rejections.ts'
import { CLOSE, type CloseName } from '../../src/gateway/close-codes.ts'
import { ClientFrames, readFrame } from '../../src/gateway/frames.ts'
import { resetFrame } from '../../src/gateway/hub.ts'
import { Connection, type SocketOptions } from '../../src/gateway/socket.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { badFrames, brokenText, EXAMPLES, goodFrame, mutatedFrame, NO_FRAMES, NOWHERE, own } from '../hostile/variants.ts'

const FIXTURES = new URL('../fixtures/frames/', import.meta.url)
const ROOMS = ['lobby', LOBBY_ID, NOWHERE, NOWHERE.toUpperCase()]

/** The frame, or the rejection's code and field. */
function outcome (text: string): unknown {
  const read = readFrame(text)
  return 'frame' in read ? { frame: read.frame } : { code: read.rejection.code, ref: read.ref, field: read.field }
}

t.test('every type of frame is read with all its fields', async t => {
  for (const [type, example] of Object.entries(EXAMPLES)) t.same(outcome(JSON.stringify(example)), { frame: example }, type)
})

t.test('frozen v1 frames from clients are read today as on the day they were frozen', async t => {
  const files = readdirSync(FIXTURES).filter(name => name.startsWith('client-'))
  const types = new Set<string>()
  for (const file of files) {
    const { text, reads } = JSON.parse(readFileSync(new URL(file, FIXTURES), 'utf8'))
    t.same(outcome(text), JSON.parse(JSON.stringify(reads)), file)
    if (reads.frame !== undefined) types.add(reads.frame.type)
  }
  t.same([...types].sort(), Object.keys(ClientFrames).sort(), 'each type has one')
})

/** A connection over a socket that the test plays: sends the texts, and returns the frames that come back. */
function played () {
  const sent: unknown[] = []
  const ws = Object.assign(new EventEmitter(), { OPEN: 1, readyState: 1, pause () {}, resume () {}, ping () {}, terminate () {}, close (code: number, reason: string) { sent.push({ closed: code, reason }) } })
  const outbox = { send: (frame: object) => { sent.push(JSON.parse(JSON.stringify(frame))) }, push () {}, flush () {}, bytes: () => 0, offer: () => true, isDrained: () => true, drained: async () => {} }
  const deps: SocketOptions = {
    config: loadConfig({}),
    commands: {
      execute: async ({ command: { type, room_id } }) => type === 'message'
        ? { ok: true, changed: true, room_id, seq: 9121, chain: '9f86d081884c7d65', event_id: 'event', duplicate: false, durability: 'fsync' }
        : type === 'join' ? { ok: true, changed: false, room_id } : { ok: false, rejection: reject('not_member') },
    },
    direct: { open: async () => ({ ok: false, rejection: reject('user_not_found') }), send: async () => ({ ok: false, rejection: reject('user_not_found') }) },
    ensureInbox: async room_id => ({ ok: true, changed: false, room_id }),
    subscriptions: { add () {}, remove () {}, removeAll () {}, has: () => false, roomsOf: () => [], room: () => 0, stats: () => ({ inside: 0, begun: 0, waiting: 0 }), movedHeads: () => ({ [NOWHERE]: 9121 }) },
    memberships: { follow: async () => {}, onChanged: async () => {}, look: async () => {}, forget () {}, leave () {} },
    people: { enter () {}, leave () {}, changed () {}, of: () => [], statusOf: () => undefined, here: () => [] },
    typing: { heard: async () => undefined, wrote () {}, left () {}, size: () => 0, stop () {} },
    marks: { read: async (_connection, _room, seq) => seq, delivered: async () => undefined, greet () {} },
    outboxes: { open: () => outbox },
    verify: token => token === 'good' ? { user_id: 'user', session_id: 'session', expires_at: Infinity } : undefined,
    redeem: async () => undefined,
    admit: () => true,
    release: () => {},
    newId: () => 'connection',
    clock: () => Date.parse('2026-11-20T10:00:00.123Z'),
    metrics: createMetrics('test'),
    logger: createLogger({ level: 'silent', role: 'test' }),
  }
  const connection = new Connection(ws as unknown as WebSocket, deps, {})
  return {
    connection,
    async say (text: string): Promise<unknown[]> {
      sent.length = 0
      ws.emit('message', Buffer.from(text), false)
      await new Promise(resolve => setImmediate(resolve))
      return [...sent]
    },
    sent,
  }
}

t.test('frozen v1 frames to clients are sent today as on the day they were frozen', async t => {
  const { session, heartbeat, reset, byes } = JSON.parse(readFileSync(new URL('server-frames.json', FIXTURES), 'utf8'))
  const { connection, say, sent } = played()
  for (const { client, server } of session) t.same(await say(client), server, client)
  sent.length = 0
  connection.beat()
  t.same(sent, [heartbeat])
  t.same(JSON.parse(JSON.stringify(resetFrame(NOWHERE, 'parted', { seq: 5, chain: '9f86d081884c7d65' }))), reset)
  t.same(Object.keys(CLOSE), Object.keys(byes), 'every close has its bye')
  for (const [name, frames] of Object.entries(byes)) {
    const { connection, sent } = played()
    connection.end(name as CloseName, 1500)
    t.same(sent, frames, name)
  }
})

t.test('each wrong or missing field of each frame is refused and named', async t => {
  const cases = badFrames()
  t.ok(cases.length > 300, `${cases.length} cases`)
  for (const { what, frame, field } of cases) {
    const read = readFrame(JSON.stringify(frame))
    if (!('rejection' in read)) t.fail(`${what} was taken`)
    else if (read.rejection.code !== 'bad_frame' || !(read.field === field || read.field?.startsWith(`${field}.`) === true)) t.fail(`${what}: ${JSON.stringify(read)}`)
  }
})

t.test('what is no frame is refused', async t => {
  for (const text of NO_FRAMES) t.match(outcome(text), { code: 'bad_frame' }, text.slice(0, 60))
})

t.test('the ref of a refused frame comes back where one can be read', async t => {
  t.match(outcome('{"type":"nonsense","ref":5}'), { ref: 5, field: 'type' })
  t.match(outcome('{"type":"message","ref":5,"content":"x"}'), { ref: 5, field: 'room_id' })
  for (const ref of ['"5"', 'null', '[5]', '1e999', '{}']) t.match(outcome(`{"type":"nonsense","ref":${ref}}`), { ref: undefined }, ref)
})

t.test('rooms are named by UUIDs in any case, or as lobby, everywhere in a frame', async t => {
  for (const [given, id] of [['lobby', LOBBY_ID], [NOWHERE.toUpperCase(), NOWHERE]] as const) {
    for (const type of ['subscribe', 'unsubscribe', 'join', 'leave']) t.match(outcome(JSON.stringify({ type, room_id: given })), { frame: { room_id: id } }, type)
    t.match(outcome(JSON.stringify({ type: 'message', room_id: given, content: 'x' })), { frame: { room_id: id } })
    t.same(outcome(JSON.stringify({ type: 'hello', resume: { rooms: { [given]: { seq: 3 } } } })), { frame: { type: 'hello', resume: { rooms: { [id]: { seq: 3 } } } } })
  }
})

t.test('a resume of what is no room is refused: its key would become a key in Redis', async t => {
  for (const key of ['room', '', '*', '__proto__', 'constructor', `${NOWHERE}:log`, `${NOWHERE}\n`]) t.match(outcome(JSON.stringify({ type: 'hello', resume: { rooms: own(key, { seq: 1 }) } })), { code: 'bad_frame', field: 'resume.rooms' }, key)
})

t.test('a room_id that is no field of its frame is neither read nor sent back', async t => {
  for (const [type, more] of [['delivered', { rooms: {} }], ['presence', { status: 'away' }]] as const) {
    const { say } = played()
    await say('{"type":"hello","token":"good"}')
    for (const room_id of [{ a: 1 }, 7, ['x'], NOWHERE]) {
      const [answer] = await say(JSON.stringify({ type, ref: 1, ...more, room_id }))
      t.match(answer, { ref: 1 }, type)
      t.notOk('room_id' in (answer as object))
    }
  }
})

t.test('unknown fields pass, and touch no prototype', async t => {
  for (const more of ['"__proto__":{"polluted":true}', '"constructor":{"prototype":{"polluted":true}}', '"later":[1,2,3]', '"type":"ping"']) t.match(outcome(`{"type":"ping","ref":1,${more}}`), { frame: { type: 'ping', ref: 1 } }, more)
  t.equal(({} as { polluted?: boolean }).polluted, undefined)
})

t.test('frames 100,000 levels deep are read or refused like any other', async t => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
  const nested = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`
  t.match(outcome(deep), { code: 'bad_frame' })
  t.match(outcome('['.repeat(100_000)), { code: 'bad_frame' })
  for (const value of [deep, nested]) {
    t.equal((outcome(`{"type":"ping","more":${value}}`) as { frame: { type: string } }).frame.type, 'ping')
    t.match(outcome(`{"type":"message","room_id":"lobby","content":${value}}`), { code: 'bad_frame', field: 'content' })
    t.match(outcome(`{"type":"subscribe","room_id":"lobby","after":${value}}`), { code: 'bad_frame' })
    t.match(outcome(`{"type":"hello","resume":{"rooms":${value}}}`), { code: 'bad_frame' })
  }
})

t.test('a content counts code points, and has no NUL and no half of a pair', async t => {
  const message = (content: string): unknown => outcome(JSON.stringify({ type: 'message', room_id: NOWHERE, content }))
  for (const content of ['x', 'x'.repeat(8000), '😀'.repeat(8000), '\n', '\u202e', '\ufffd', '\uffff']) t.match(message(content), { frame: { content } })
  for (const content of ['', 'x'.repeat(8001), '😀'.repeat(8001), 'a\u0000', '\ud83d', '\ude00\ud83d']) t.match(message(content), { code: 'bad_frame', field: 'content' })
})

t.test('good frames are read, whatever is in them', async () => {
  fc.assert(fc.property(goodFrame(ROOMS), frame => 'frame' in readFrame(JSON.stringify(frame))), { numRuns: 2000 })
})

t.test('mutated frames and broken texts never throw, and are answered within the catalogue', async () => {
  fc.assert(fc.property(fc.oneof(mutatedFrame(ROOMS).map(frame => JSON.stringify(frame)), brokenText(ROOMS), fc.string({ unit: 'binary' })), text => {
    const read = readFrame(text)
    if ('frame' in read) return Object.hasOwn(ClientFrames, read.frame.type)
    JSON.parse(JSON.stringify({ ...read.rejection, field: read.field, ref: read.ref }))
    return read.rejection.code === 'bad_frame' && (read.field ?? '').length <= 200 && read.rejection.message.length < 1000
  }), { numRuns: 5000 })
})
