// Events into the log and out again; what older versions wrote (frozen in test/fixtures/events) is read for ever.
import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { EVENT_VERSION, EventBody, ROOM_KINDS, type StoredEvent } from '../../src/domain/events.ts'
import { CorruptEvent, decodeEvent, encodeEvent, frameOf, type LogEvent } from '../../src/log/codec.ts'

const FIXTURES = new URL('../fixtures/events/', import.meta.url)
const ROOM = '019abc00-0000-7000-8000-0000000000aa'

const text = fc.string({ unit: 'binary', minLength: 1 })
const seq = fc.oneof(fc.nat(), fc.constantFrom(0, 1, Number.MAX_SAFE_INTEGER))
const common = { user_id: fc.uuid(), timestamp: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date('9999-12-31') }).map(date => date.toISOString()), client_id: text }
const requiredKeys = ['type', 'user_id', 'timestamp'] as const
const storedEvent: fc.Arbitrary<StoredEvent> = fc.oneof(
  fc.record({ type: fc.constant('message' as const), content: text, reply_to: seq, ...common }, { requiredKeys: [...requiredKeys, 'content'], noNullPrototype: true }),
  fc.record({ type: fc.constantFrom('join' as const, 'leave' as const), ...common }, { requiredKeys: [...requiredKeys], noNullPrototype: true }),
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
    t.match(JSON.parse(frameOf(ROOM, entry)), { room_id: ROOM, seq: entry.seq, chain: entry.chain, event_id: entry.event_id, type: event.type })
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
