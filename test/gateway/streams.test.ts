// The gateway's half of event streams, on a clock of the test: signs of life, the end of a token, IDs, and one encoding for all.
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import fc from 'fast-check'
import { eventIdOf, placesIdOf, readEventId, readPlacesId } from '../../src/domain/event-ids.ts'
import { reject } from '../../src/domain/rejections.ts'
import { createOutboxes, wireFrame } from '../../src/gateway/outbox.ts'
import { createEncoderForMany, encodeForOne } from '../../src/gateway/stream-frames.ts'
import { createStreams } from '../../src/gateway/streams.ts'
import type { Subscribing } from '../../src/gateway/subscriptions.ts'
import { createTurn } from '../../src/gateway/turn.ts'
import { frameOf } from '../../src/log/codec.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { until } from '../until.ts'

const [A, B] = ['019abc00-0000-7000-8000-00000000000a', '019abc00-0000-7000-8000-00000000000b']
const CHAIN = '9f86d081884c7d65'
const event = (seq: number) => ({ seq, chain: CHAIN, event_id: `event ${seq}`, v: 1, data: `{"type":"message","content":"ä\u2028 ${seq}","user_id":"u","timestamp":"2026-11-20T10:00:00.123Z"}` })

t.test('IDs are read as they were written, and nothing else is one', async t => {
  const place = fc.record({ seq: fc.nat(Number.MAX_SAFE_INTEGER), chain: fc.stringMatching(/^[0-9a-f]{16}$/) })
  fc.assert(fc.property(place, position => { t.same(readEventId(eventIdOf(position)), position) }))
  fc.assert(fc.property(fc.array(fc.tuple(fc.uuid(), place), { maxLength: 20, minLength: 1 }), entries => {
    const places = new Map(entries)
    const id = placesIdOf(places)
    t.same(readPlacesId(id, 20), places)
    t.equal(readPlacesId(id, places.size - 1), undefined, 'of more rooms than may be')
  }))
  fc.assert(fc.property(fc.string(), text => { t.ok(readEventId(text) === undefined || /^\d+(:[0-9a-f]{16})?$/.test(text)) }))
  t.same(readEventId('7'), { seq: 7 })
})

t.test('frames become events; what many get is encoded once', async t => {
  const shared = Buffer.concat([1, 2].map(seq => wireFrame(frameOf(A, event(seq)))))
  t.equal(encodeForOne(shared), encodeForOne(shared), 'the same bytes, not a copy')
  const texts = [1, 2].map(seq => frameOf(A, event(seq)))
  t.equal(String(encodeForOne(shared)), texts.map((text, i) => `event: message\nid: ${i + 1}:${CHAIN}\ndata: ${text}\n\n`).join(''))
  const typing = wireFrame('{"type":"typing","room_id":"r","user_id":"u","active":true}')
  t.equal(String(encodeForOne(typing)), 'event: typing\ndata: {"type":"typing","room_id":"r","user_id":"u","active":true}\n\n', 'without an ID where nothing moves')
  const sync = wireFrame(`{"type":"sync","room_id":"${A}","from":0,"to":5,"source":"log"}`)
  t.notMatch(String(encodeForOne(sync)), /^id:/m)

  const many = createEncoderForMany(new Map([[B, { seq: 7, chain: CHAIN }]]), 'inbox of somebody')
  const ids = [...String(many(shared)).matchAll(/^id: (.*)$/gm)].map(([, id]) => [...readPlacesId(id!, 9)!].map(([room, { seq }]) => [room, seq]))
  t.same(ids, [[[B, 7], [A, 1]], [[B, 7], [A, 2]]])
  const reset = String(many(wireFrame(`{"type":"reset","room_id":"${B}","reason":"parted","seq":3,"chain":"${CHAIN}"}`)))
  t.same([...readPlacesId(/^id: (.*)$/m.exec(reset)![1]!, 9)!.values()].map(({ seq }) => seq), [3, 2])
})

t.test('a stream shows a sign of life every 15 s, and ends with its token', async t => {
  let now = 1_000_000
  const subscribed: Array<[Subscribing, string, unknown]> = []
  let gone = 0
  let released = 0
  const streams = createStreams({
    subscriptions: { add: (connection, roomId, after) => { subscribed.push([connection, roomId, after]) }, removeAll: () => { gone += 1 } },
    outboxes: createOutboxes({ bytesMax: 1_000_000, turn: createTurn() }),
    admit: userId => userId === 'nobody' ? reject('too_many') : undefined,
    release: () => { released += 1 },
    isRevoked: () => false,
    roomsMax: 2,
    newId: () => 'id',
    clock: () => now,
    metrics: createMetrics('test'),
  })
  const opening = (response: ServerResponse, rooms: ReadonlyMap<string, undefined>, user_id = 'ada') => ({ response, headers: { 'x-more': 'yes' }, identity: { user_id, session_id: 's', expires_at: 1_100_000 }, rooms, single: rooms.size === 1 })
  const responses: ServerResponse[] = []
  const server = createServer((_request, response) => { responses.push(response) })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const ask = async (): Promise<{ response: ServerResponse, answer: Promise<Response> }> => {
    const answer = fetch(url)
    await until(() => responses.length > 0)
    return { response: responses.pop()!, answer }
  }

  const first = await ask()
  t.match(streams.open(opening(first.response, new Map([[A, undefined], [B, undefined], ['c', undefined]]))), { code: 'too_many_subscriptions' })
  t.match(streams.open(opening(first.response, new Map([[A, undefined]]), 'nobody')), { code: 'too_many' })
  t.equal(first.response.headersSent, false, 'who is refused can be told in another way')
  t.equal(streams.open(opening(first.response, new Map([[A, undefined], [B, undefined]]))), undefined)
  t.same(subscribed.map(([, roomId]) => roomId), [A, B])
  const answer = await first.answer
  t.equal(answer.headers.get('x-more'), 'yes')
  let text = ''
  const read = (async () => { for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) text += chunk })()

  streams.tick(now += 14_999)
  streams.tick(now += 1)
  streams.tick(now += 1)
  await until(() => text.includes(':'.concat(' \n\n')))
  streams.tick(now += 15_000)
  await until(() => text.match(/^: $/gm)?.length === 2)
  const [connection] = subscribed[0]!
  connection.onDropped!(A, reject('not_member'))
  t.equal(streams.count(), 1, 'the other room is left')
  streams.tick(1_100_000)
  await read
  t.match(text, /^retry: 2000\n\n[^]*event: bye\ndata: \{"type":"bye","code":4100,.*\}\n\nretry: 1\n\n$/)
  await until(() => streams.count() === 0)
  t.equal(released, 1)
  t.ok(gone > 0)

  for (const code of ['unavailable', 'room_not_found'] as const) {
    const { response, answer } = await ask()
    streams.open(opening(response, code === 'unavailable' ? new Map([[A, undefined], [B, undefined]]) : new Map([[A, undefined]])))
    const [connection] = subscribed.at(-1)!
    connection.onDropped!(A, reject(code, undefined, 700))
    t.match(await (await answer).text(), /retry: 700\n\n$/, `${code}: it is to come back`)
  }

  const { response, answer: cut } = await ask()
  response.destroy()
  await cut.catch(() => {})
  t.equal(streams.open(opening(response, new Map([[A, undefined]]))), undefined, 'who went while they were asked about is none')
  t.equal(streams.count(), 0)
})
