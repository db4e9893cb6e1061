// The AsyncAPI document: whole, made of the schemas that check frames, and true of the frames that were frozen.
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { Compile } from 'typebox/compile'
import { REJECTIONS } from '../../src/domain/rejections.ts'
import { frameOf } from '../../src/log/codec.ts'
import { asyncapiOf } from '../../src/gateway/asyncapi.ts'
import { CLOSE } from '../../src/gateway/close-codes.ts'
import { ClientFrames, readFrame } from '../../src/gateway/frames.ts'
import { ServerFrames } from '../../src/gateway/server-frames.ts'
import { VERSION } from '../../src/version.ts'
import { asyncapi, checkReceived, checkSent, referencesOf, resolve, schemasOf, Undocumented, type Json } from '../described.ts'
import { EXAMPLES } from '../hostile/variants.ts'

const ROOM = '019abc00-0000-7000-8000-000000000001'
const FIXTURES = new URL('../fixtures/', import.meta.url)
const read = (path: string): Json => JSON.parse(readFileSync(new URL(path, FIXTURES), 'utf8'))

t.test('the document has the shape of AsyncAPI 3.0', async t => {
  t.equal(asyncapi.asyncapi, '3.0.0')
  t.match(asyncapi.info, { title: String, version: VERSION })
  t.same(Object.keys(asyncapi).filter(key => !key.startsWith('x-')).sort(), ['asyncapi', 'channels', 'components', 'defaultContentType', 'info', 'operations'])
  for (const [name, { address, messages, bindings }] of Object.entries<Json>(asyncapi.channels)) {
    t.match(name, /^[\w.-]+$/)
    t.equal(address, '/ws')
    t.equal(bindings.ws.query.type, 'object')
    for (const key of Object.keys(messages)) t.match(key, /^[\w.-]+$/)
  }
  for (const operation of Object.values<Json>(asyncapi.operations)) {
    t.match(operation, { action: /^(send|receive)$/, channel: { $ref: '#/channels/socket' }, summary: /\w/ })
    for (const { $ref } of [...operation.messages, ...operation.reply?.messages ?? []]) t.match($ref, /^#\/channels\/socket\/messages\//, 'messages are the channel’s')
  }
  for (const message of Object.values<Json>(asyncapi.components.messages)) t.match(message, { name: /^\w+$/, title: String, summary: /\w/, contentType: 'application/json', payload: { $ref: String } })
})

t.test('every reference points to something, and every schema can be compiled', async t => {
  const references = referencesOf(asyncapi)
  t.ok(references.length > 100, `${references.length} references`)
  for (const reference of references) t.not(resolve(asyncapi, reference), undefined, reference)
  for (const [at, schema] of schemasOf(asyncapi)) t.doesNotThrow(() => Compile(schema), at)
})

t.test('every frame of both directions is in it, and no other', async t => {
  const keys = [...Object.keys(ClientFrames).map(type => `client.${type}`), ...Object.keys(ServerFrames).map(name => `server.${name}`)].sort()
  t.same(Object.keys(asyncapi.components.schemas).sort(), keys)
  t.same(Object.keys(asyncapi.components.messages).sort(), keys)
  t.same(Object.keys(asyncapi.channels.socket.messages).sort(), keys)
  for (const [type, schema] of Object.entries(ClientFrames)) t.same(asyncapi.components.schemas[`client.${type}`], JSON.parse(JSON.stringify(schema)), 'the schema that checks it')
  for (const type of Object.keys(ClientFrames)) t.ok(asyncapi.operations[`client.${type}`], type)
  t.equal(asyncapi.operations.frames.messages.length, Object.keys(ServerFrames).length)
})

t.test('every close code and every code of an error is in it', async t => {
  t.same(asyncapi.channels.socket['x-close-codes'], Object.values(CLOSE))
  t.same(asyncapi['x-error-codes'].map(({ code }: Json) => code), Object.keys(REJECTIONS))
  t.same(asyncapi.components.schemas['server.error'].properties.code.enum, Object.keys(REJECTIONS))
  t.same(asyncapi.components.schemas['server.bye'].properties.code.enum, Object.values(CLOSE).map(({ code }) => code))
})

t.test('the version is the caller’s', async t => {
  t.equal((asyncapiOf({ version: '9.9.9' }) as Json).info.version, '9.9.9')
})

t.test('the frames that were frozen are documented', async () => {
  const { session, heartbeat, reset, byes } = read('frames/server-frames.json')
  const frames = [heartbeat, reset, ...session.flatMap(({ server }: Json) => server), ...Object.values<Json>(byes).flat().filter(({ type }: Json) => type !== undefined)]
  for (const frame of frames) checkReceived(frame)
  for (const file of readdirSync(new URL('frames/', FIXTURES)).filter(name => name.startsWith('client-'))) {
    const { text } = read(`frames/${file}`)
    const taken = 'frame' in readFrame(text)
    if (taken && !file.includes('unknown')) checkSent(JSON.parse(text))
  }
  for (const frame of Object.values(EXAMPLES)) checkSent(frame as { type: string })
})

t.test('the events that were frozen are documented as they go over the wire', async t => {
  const files = readdirSync(new URL('events/', FIXTURES)).filter(file => !file.includes('unknown'))
  for (const file of files) {
    const { entry } = read(`events/${file}`)
    t.doesNotThrow(() => { checkReceived(JSON.parse(frameOf(ROOM, entry))) }, file)
  }
})

t.test('what no document tells of is found', async t => {
  const pong = { type: 'pong', ref: 1 }
  checkReceived(pong)
  t.throws(() => { checkReceived({ type: 'gong' }) }, Undocumented, 'a frame')
  t.throws(() => { checkReceived({ ...pong, colour: 'red' } as Json) }, Undocumented, 'a field')
  t.throws(() => { checkReceived({ ...pong, ref: '1' } as Json) }, Undocumented, 'a type')
  t.throws(() => { checkReceived({ type: 'live', room_id: ROOM, seq: 1 } as Json) }, Undocumented, 'a field that is missing')
  t.throws(() => { checkReceived({ type: 'welcome', session_id: '', user_id: '', heartbeat_ms: 1, server_time: '', limits: { frame_bytes: 1, content_chars: 1, subscriptions: 1, frames_per_second: 1, more: 1 } } as Json) }, Undocumented, 'a field within')
  t.throws(() => { checkSent({ type: 'ping', colour: 'red' } as Json) }, Undocumented, 'a field of a client')
})
