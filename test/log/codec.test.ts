// Events into the log and out again; what older versions wrote (frozen in test/fixtures/events) is read for ever.
import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { EVENT_VERSION, EventBody, ROLES, ROOM_KINDS, type StoredEvent } from '../../src/domain/events.ts'
import { CorruptEvent, decodeEvent, encodeEvent, frameOf, tombstoneOf, withoutDeleted, type LogEvent } from '../../src/log/codec.ts'

const FIXTURES = new URL('../fixtures/events/', import.meta.url)
const ROOM = '019abc00-0000-7000-8000-0000000000aa'

const text = fc.string({ unit: 'binary', minLength: 1 })
const seq = fc.oneof(fc.nat(), fc.constantFrom(0, 1, Number.MAX_SAFE_INTEGER))
const common = { user_id: fc.uuid(), timestamp: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date('9999-12-31') }).map(date => date.toISOString()), client_id: text }
const requiredKeys = ['type', 'user_id', 'timestamp'] as const
const storedEvent: fc.Arbitrary<StoredEvent> = fc.oneof(
  fc.record({ type: fc.constant('message' as const), content: text, reply_to: seq, ...common }, { requiredKeys: [...requiredKeys, 'content'], noNullPrototype: true }),
  fc.record({ type: fc.constant('edit' as const), message_seq: seq, content: text, mentions: fc.array(fc.uuid(), { maxLength: 2 }), ...common }, { requiredKeys: [...requiredKeys, 'message_seq', 'content'], noNullPrototype: true }),
  fc.record({ type: fc.constant('delete' as const), message_seq: seq, ...common }, { requiredKeys: [...requiredKeys, 'message_seq'], noNullPrototype: true }),
  fc.record({ type: fc.constantFrom('reaction' as const, 'pin' as const), message_seq: seq, emoji: text, added: fc.boolean(), ...common }, { requiredKeys: [...requiredKeys, 'message_seq', 'added'], noNullPrototype: true }),
  fc.record({ type: fc.constantFrom('join' as const, 'leave' as const, 'kick' as const, 'ban' as const, 'mute' as const), target: fc.uuid(), until: text, reason: text, lifted: fc.constant(true as const), ...common }, { requiredKeys: [...requiredKeys], noNullPrototype: true }),
  fc.record({ type: fc.constant('role' as const), target: fc.uuid(), role: fc.constantFrom(...ROLES), ...common }, { requiredKeys: [...requiredKeys, 'target', 'role'], noNullPrototype: true }),
  fc.record({ type: fc.constant('room' as const), change: fc.constant('created' as const), name: text, kind: fc.constantFrom(...ROOM_KINDS), topic: text, history: fc.constantFrom('all' as const, 'joined' as const), ...common }, { requiredKeys: [...requiredKeys, 'change', 'name', 'kind', 'history'], noNullPrototype: true })
) as fc.Arbitrary<StoredEvent>
const chain = fc.stringMatching(/^[0-9a-f]{16}$/)

const entryOf = (data: string, v = EVENT_VERSION, at = 1): LogEvent => ({ seq: at, chain: '9f86d081884c7d65', event_id: '019abc00-0000-7000-8000-000000000001', v, data })

t.test('frozen v1 events are decoded, framed and encoded today as on the day they were frozen', async t => {
  const types = new Set<string>()
  for (const file of readdirSync(FIXTURES)) {
    const { entry, event, frame } = JSON.parse(readFileSync(new URL(file, FIXTURES), 'utf8'))
    t.same(decodeEvent(entry), event, `${file} is decoded`)
    t.equal(encodeEvent(event), entry.data, `${file} is encoded`)
    t.equal(frameOf(ROOM, entry), EVENT_VERSION === 1 ? frame : frameOf(ROOM, entry), `${file} is framed`)
    t.same(JSON.parse(frameOf(ROOM, entry)), { ...(event.type === 'inbox' ? {} : { room_id: ROOM }), seq: entry.seq, chain: entry.chain, event_id: entry.event_id, v: entry.v, ...event })
    types.add(event.type)
  }
  const known = EventBody.anyOf.map(({ properties: { type } }) => type.const)
  t.same(known.filter(type => !types.has(type)), [], 'every type has one')
})

t.test('any event is decoded to what was encoded', async () => {
  fc.assert(fc.property(storedEvent, event => {
    t.same(decodeEvent(entryOf(encodeEvent(event))), event)
  }), { numRuns: 300 })
})

t.test('the frame of any event is JSON with its place and all its fields', async () => {
  fc.assert(fc.property(storedEvent, fc.uuid(), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), chain, fc.uuid(), fc.integer({ min: EVENT_VERSION, max: 99 }), (event, room_id, at, link, event_id, v) => {
    t.same(JSON.parse(frameOf(room_id, { seq: at, chain: link, event_id, v, data: encodeEvent(event) })), { room_id, seq: at, chain: link, event_id, v, ...event })
  }), { numRuns: 300 })
})

t.test('whatever stands in the log gives an event or CorruptEvent, never another exception', async t => {
  const seen = { event: 0, corrupt: 0 }
  const readable = (data: string, v: number): boolean => {
    try {
      const { type, user_id } = decodeEvent(entryOf(data, v))
      seen.event += 1
      return typeof type === 'string' && typeof user_id === 'string'
    } catch (error) {
      seen.corrupt += 1
      return error instanceof CorruptEvent
    }
  }
  const versions = fc.integer({ min: -2, max: 5 })
  const almost = fc.record({ type: fc.oneof(fc.constant('message'), fc.jsonValue()), user_id: fc.oneof(fc.constant('u'), fc.jsonValue()), content: fc.jsonValue() }, { requiredKeys: [] })
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), versions, (bytes, v) => readable(Buffer.from(bytes).toString('utf8'), v)), { numRuns: 2000 })
  fc.assert(fc.property(fc.oneof(fc.json(), almost.map(value => JSON.stringify(value)), fc.string({ unit: 'binary' })), versions, readable), { numRuns: 2000 })
  fc.assert(fc.property(storedEvent, fc.nat(), fc.uint8Array({ maxLength: 4 }), fc.nat(4), (event, at, put, cut) => { // a log that was damaged
    const whole = Buffer.from(encodeEvent(event))
    const where = at % (whole.length + 1)
    return readable(Buffer.concat([whole.subarray(0, where), put, whole.subarray(where + cut)]).toString('utf8'), EVENT_VERSION)
  }), { numRuns: 2000 })
  t.ok(seen.event > 20 && seen.corrupt > 1000, JSON.stringify(seen))
})

t.test('a corrupt entry is named by its seq, and what stands in it is not repeated', async t => {
  for (const data of ['', 'secret words', '{"type":"message","content":"secret words"', 'null', '7', '[]', '"secret words"', '{"type":"secret words"}', '{"user_id":"secret words"}', '{"type":null,"user_id":null}']) {
    try {
      decodeEvent(entryOf(data, 1, 77))
      t.fail(`${data} was taken`)
    } catch (error) {
      t.ok(error instanceof CorruptEvent, data)
      t.match((error as Error).message, /seq 77/)
      t.notMatch((error as Error).message, /secret/)
    }
  }
})

t.test('a version that nobody ever wrote is corrupt, a newer one passes unchanged', async t => {
  const data = '{"type":"message","user_id":"u","content":"x","new":[1]}'
  for (const v of [0, -1]) {
    t.throws(() => decodeEvent(entryOf(data, v)), { name: 'CorruptEvent' })
    t.throws(() => frameOf(ROOM, entryOf(data, v)), { name: 'CorruptEvent' })
  }
  t.same(decodeEvent(entryOf(data, EVENT_VERSION + 1)), JSON.parse(data))
  t.match(JSON.parse(frameOf(ROOM, entryOf(data, EVENT_VERSION + 1))), { v: EVENT_VERSION + 1, new: [1] })
})

const USER = '019abc00-0000-7000-8000-0000000000bb'
const common1 = { user_id: USER, timestamp: '2026-11-20T10:00:00.123Z' }
const stored = (event: object, at = 7): LogEvent => entryOf(JSON.stringify({ ...event, ...common1 }), EVENT_VERSION, at)

t.test('an inbox says in its frames which room it tells of, once, and not whose it is', async t => {
  const other = '019abc00-0000-7000-8000-0000000000ee'
  const frame = frameOf(USER, stored({ type: 'inbox', event: 'mentioned', room_id: other, source_seq: 5 }))
  t.equal(frame.split('"room_id"').length, 2)
  t.match(JSON.parse(frame), { type: 'inbox', room_id: other, seq: 7, source_seq: 5 })
  t.notOk('room_id' in JSON.parse(frameOf(USER, stored({ type: 'inbox', event: 'revoked' }))))
})

t.test('the session of whoever did it is in no frame', async t => {
  t.notMatch(frameOf(ROOM, { ...stored({ type: 'leave' }), by: 'session 1' }), /session/)
})

const REST = { reply_to: 3, thread: 2 }
const LOUD = { content: 'secret words', mentions: [USER], mentions_room: true, attachments: [{ url: 'https://secret.example.org/' }] }

t.test('of a deleted message its place is left: who, when, what it answered, but no content', async t => {
  t.same(tombstoneOf({ type: 'message', ...LOUD, ...REST, ...common1, client_id: 'key' }), { type: 'message', content: '', deleted: true, ...REST, ...common1, client_id: 'key' })
  t.same(tombstoneOf({ type: 'edit', message_seq: 7, ...LOUD, ...common1 }), { type: 'edit', message_seq: 7, content: '', deleted: true, ...common1 })
  t.same(tombstoneOf(tombstoneOf({ type: 'message', ...LOUD })), tombstoneOf({ type: 'message', ...LOUD }), 'twice is once')
  const body = { type: 'reaction', message_seq: 7, emoji: '👍', added: true, ...common1 }
  t.same(tombstoneOf(body), body)
})

t.test('a deleted message and its edits are blanked, everything else is read as it was written', async t => {
  const deleted = new Set([7, 9])
  for (const gone of [stored({ type: 'message', ...LOUD, ...REST }, 7), stored({ type: 'edit', message_seq: 7, ...LOUD }, 8), stored({ type: 'edit', message_seq: 9, ...LOUD }, 3)]) {
    const left = withoutDeleted(gone, deleted)
    t.notMatch(left.data, /secret/)
    t.match(decodeEvent(left), { deleted: true, content: '', ...common1 })
    t.same({ ...left, data: gone.data }, gone, 'its place and chain are what they were')
    t.match(JSON.parse(frameOf(ROOM, left)), { seq: gone.seq, deleted: true, content: '' })
    t.equal(Object.keys(JSON.parse(left.data))[0], 'type', 'the type stays in front')
    t.equal(withoutDeleted(left, deleted).data, left.data)
  }
  const kept = [
    stored({ type: 'message', ...LOUD }, 6), stored({ type: 'edit', message_seq: 6, ...LOUD }, 8), stored({ type: 'delete', message_seq: 7 }, 10), stored({ type: 'reaction', message_seq: 7, emoji: '👍', added: true }, 8),
    stored({ type: 'pin', message_seq: 7, added: true }, 8), stored({ type: 'message', content: '{"type":"edit","message_seq":7}' }, 8),
  ]
  for (const entry of kept) t.equal(withoutDeleted(entry, deleted), entry, entry.data)
  const message = stored({ type: 'message', ...LOUD }, 7)
  t.equal(withoutDeleted(message, new Set()), message, 'nothing is deleted')
})

t.test('what is corrupt is not blanked but left to whoever decodes it', async t => {
  for (const data of ['', 'null', '{"type":"edit","message_seq":7,', '{"type":"edit"']) {
    const entry = entryOf(data, 1, 7)
    t.equal(withoutDeleted(entry, new Set([7])), entry, data)
  }
})

t.test('of a deleted message no content is read, whatever it was', async () => {
  fc.assert(fc.property(storedEvent, fc.nat(20), fc.uniqueArray(fc.nat(20)), (event, at, deleted) => {
    const entry = entryOf(encodeEvent(event), EVENT_VERSION, at)
    const gone = (event.type === 'message' && deleted.includes(at)) || (event.type === 'edit' && (deleted.includes(event.message_seq) || deleted.includes(at)))
    const left = decodeEvent(withoutDeleted(entry, new Set(deleted))) as { content?: string, deleted?: true }
    return gone ? left.content === '' && left.deleted === true : event.type === 'message' || event.type === 'edit' ? left.content === event.content : true
  }), { numRuns: 1000 })
})
