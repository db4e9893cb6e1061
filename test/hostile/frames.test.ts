// Frames that no honest client sends, over real sockets to a real gateway: each is answered by a stable code, and nobody else
// notices.
import t from 'tap'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { connect, type Client, type Frame } from '../client.ts'
import { millrace } from '../e2e/world.ts'
import { until } from '../until.ts'
import { attacks, bystander, bytesOf, CONTINUATION, MB, PING, rssOf, untilConnections, upgrade, type FrameBits, type RawSocket } from './attack.ts'
import { badFrames, NO_FRAMES, NOWHERE, own } from './variants.ts'

const world = await millrace(t, { gateways: 1, projectors: 0, env: { BAD_FRAMES_MAX: '100000' } })
const victim = await bystander(world)
const { room } = victim
const { access_token: token } = await world.signup()
const url = world.urlOf(0)
const gateway = world.gateways[0]!

/** A socket that the checker does not watch: it lies. */
const attacker = async (): Promise<Client> => await connect({ url, token })
const attackRaw = async (): Promise<RawSocket> => await upgrade(url, { token })

/** What comes back for these bytes as a frame, up to the pong of a ping sent after it. */
async function answersTo (client: Client, data: string | Buffer): Promise<Frame[]> {
  const before = client.frames.length
  client.raw(data)
  const pong = await client.request({ type: 'ping' })
  return client.frames.slice(before).filter(frame => frame !== pong && frame.type !== 'heartbeat')
}

const attack = attacks(t, world, victim)

await attack('what is no frame is answered by bad_frame, and the socket stays', async t => {
  const client = await attacker()
  for (const text of NO_FRAMES) t.match(await answersTo(client, text), [{ type: 'error', code: 'bad_frame', message: String }], text.slice(0, 60))
  for (const bytes of [Buffer.from('{"type":"ping"}'), Buffer.alloc(0), Buffer.alloc(1000, 0xff)]) t.match(await answersTo(client, bytes), [{ type: 'error', code: 'bad_frame', message: /text/ }], 'binary')
  client.cut()
})

await attack('each wrong or missing field of each frame is answered by bad_frame with its name and the ref', async t => {
  const client = await attacker()
  const cases = badFrames()
  let ref = 1_000_000
  for (const { what, frame, field } of cases) {
    const mine = 'ref' in frame && field !== 'ref' ? ++ref : undefined
    const [answer, ...more] = await answersTo(client, JSON.stringify({ ...frame, ...(mine !== undefined && { ref: mine }) }))
    if (answer?.type !== 'error' || answer.code !== 'bad_frame' || !String(answer.field).startsWith(field) || (mine !== undefined && answer.ref !== mine) || more.length > 0) t.fail(`${what}: ${JSON.stringify([answer, ...more])}`)
  }
  t.ok(cases.length > 300, `${cases.length} cases`)
  client.cut()
})

await attack('__proto__ and constructor as keys change nothing', async t => {
  const client = await attacker()
  for (const key of ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty']) {
    const text = JSON.stringify({ type: 'subscribe', room_id: NOWHERE, ref: 1 }).replace('}', `,"${key}":{"code":"polluted","type":"ping","ref":7,"isAdmin":true}}`)
    client.raw(text)
    t.match(await client.next(frame => frame.type === 'error' && frame.ref === 1), { code: 'room_not_found', isAdmin: undefined }, key)
    t.match(await answersTo(client, `{"type":"hello","resume":{"rooms":${JSON.stringify(own(key, { seq: 1 }))}}}`), [{ type: 'error', code: 'bad_frame', field: /^resume\.rooms/ }])
  }
  client.cut()
})

await attack('frames as deep as 64 KiB allow are read or refused like others; 100,000 levels are too large', async t => {
  const client = await attacker()
  const levels = 32_000
  const deep = `${'['.repeat(levels)}${']'.repeat(levels)}`
  const nested = `${'{"a":'.repeat(9000)}1${'}'.repeat(9000)}`
  t.match(await answersTo(client, deep), [{ type: 'error', code: 'bad_frame' }])
  t.match(await answersTo(client, '['.repeat(65_536)), [{ type: 'error', code: 'bad_frame' }])
  for (const value of [deep, nested]) {
    t.match(await answersTo(client, `{"type":"ping","ref":-5,"more":${value}}`), [{ type: 'pong', ref: -5 }])
    t.match(await answersTo(client, `{"type":"message","room_id":"${room}","content":${value}}`), [{ type: 'error', code: 'bad_frame', field: 'content' }])
    t.match(await answersTo(client, `{"type":"subscribe","room_id":"${room}","after":${value}}`), [{ type: 'error', code: 'bad_frame' }])
  }
  client.raw(`{"type":"ping","more":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)
  t.match(await client.closed, { code: 1009 })
})

await attack('a frame of 10 MB is closed with 1009, and so is one in fragments; memory does not grow', async t => {
  const big = `{"type":"ping","x":"${'x'.repeat(10 * MB)}"}`
  const before = rssOf(gateway)
  for (let i = 0; i < 10; i++) {
    const client = await attacker()
    client.raw(big)
    t.equal((await client.closed).code, 1009)
  }
  const raw = await attackRaw()
  raw.write(bytesOf('{"type":"ping","x":"', { fin: false }))
  for (let i = 0; i < 5; i++) raw.write(bytesOf('x'.repeat(20_000), { opcode: CONTINUATION, fin: false }))
  t.equal(await raw.closed, 1009)
  const announced = await attackRaw() // the head alone says enough
  announced.write(bytesOf('x'.repeat(65_537)).subarray(0, 14))
  t.equal(await announced.closed, 1009)
  const edge = await attacker()
  const head = '{"type":"ping","ref":9,"x":"'
  t.match(await answersTo(edge, `${head}${'x'.repeat(65_536 - head.length - 2)}"}`), [{ type: 'pong', ref: 9 }], '65,536 bytes are not too many')
  edge.cut()
  await untilConnections(world, 1)
  const grown = rssOf(gateway) - before
  t.ok(grown < 100 * MB, `${Math.round(grown / MB)} MB more than before 100 MB came in`)
})

await attack('a fragmented frame is read as one, with a ping in between; 20,000 fragments are refused', async t => {
  const raw = await attackRaw()
  const text = Buffer.from('{"type":"ping","ref":1,"x":"é😀"}')
  raw.write(bytesOf(text.subarray(0, 1), { fin: false }))
  raw.write(bytesOf('hi', { opcode: PING }))
  for (const byte of text.subarray(1)) raw.write(bytesOf(Buffer.from([byte]), { opcode: CONTINUATION, fin: false }))
  raw.write(bytesOf('', { opcode: CONTINUATION }))
  await until(() => raw.texts().some(frame => frame === '{"type":"pong","ref":1}'))
  raw.write(bytesOf('{', { fin: false }))
  raw.write(Buffer.concat(Array.from({ length: 20_000 }, () => bytesOf(' ', { opcode: CONTINUATION, fin: false }))))
  t.equal(await raw.closed, 1008)
  t.pass('and the ping was answered')
})

await attack('what breaks RFC 6455 is closed with 1002', async t => {
  const broken: Array<[string, string | Buffer, FrameBits]> = [
    ['unmasked', '{"type":"ping"}', { masked: false }],
    ['compressed without an agreement', '{"type":"ping"}', { rsv: 4 }],
    ['reserved bits', '{"type":"ping"}', { rsv: 3 }],
    ['an unknown opcode', 'x', { opcode: 3 }],
    ['an unknown control opcode', 'x', { opcode: 11 }],
    ['a continuation of nothing', 'x', { opcode: CONTINUATION }],
    ['a ping in fragments', 'x', { opcode: PING, fin: false }],
    ['a ping of 126 bytes', 'x'.repeat(126), { opcode: PING }],
    ['a close with one byte', 'x', { opcode: 8 }],
    ['a close with a code that nobody may send', Buffer.from([0x03, 0xed]), { opcode: 8 }],
    ['a close with the code 0', Buffer.from([0, 0]), { opcode: 8 }],
  ]
  for (const [what, payload, bits] of broken) {
    const raw = await attackRaw()
    raw.write(bytesOf(payload, bits))
    t.equal(await raw.closed, 1002, what)
  }
  const twice = await attackRaw()
  twice.write(Buffer.concat([bytesOf('{"type":', { fin: false }), bytesOf('{"type":"ping"}')]))
  t.equal(await twice.closed, 1002, 'a frame begun within another')
})

await attack('text that is no UTF-8 is closed with 1007', async t => {
  for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x22, 0xe2, 0x82, 0x22]]) {
    const raw = await attackRaw()
    raw.write(bytesOf(Buffer.from(bytes)))
    t.equal(await raw.closed, 1007, bytes.map(byte => byte.toString(16)).join(' '))
  }
  const raw = await attackRaw()
  raw.write(bytesOf(Buffer.from([0x03, 0xe8, 0xff, 0xfe]), { opcode: 8 }))
  t.equal(await raw.closed, 1007, 'the reason of a close')
})

await attack('a seq that is negative, fractional, no number or beyond 2^53 is a bad frame, wherever it stands', async t => {
  const client = await attacker()
  for (const seq of ['-1', '-9007199254740993', '1.5', '1e-7', '9007199254740992', '1e300', '1e999', '"5"', 'null', 'true', '[1]', '{}']) {
    const bad = async (text: string, field: string): Promise<void> => { t.match(await answersTo(client, text), [{ type: 'error', code: 'bad_frame', field }], text) }
    await bad(`{"type":"subscribe","room_id":"${room}","after":{"seq":${seq}}}`, 'after.seq')
    await bad(`{"type":"subscribe","room_id":"${room}","after":{"seq":1,"also":[{"seq":${seq}}]}}`, 'after.also.0.seq')
    await bad(`{"type":"hello","resume":{"rooms":{"${room}":{"seq":${seq}}}}}`, `resume.rooms.${room}.seq`)
    await bad(`{"type":"message","room_id":"${room}","content":"x","reply_to":${seq}}`, 'reply_to')
  }
  client.cut()
})

await attack('a seq beyond the head is reset to what there is; a reply to it is refused', async t => {
  const client = await attacker()
  const head = (await world.logOf(room)).at(-1)!
  for (const after of [{ seq: head.seq + 1 }, { seq: Number.MAX_SAFE_INTEGER }, { seq: Number.MAX_SAFE_INTEGER, chain: 'f'.repeat(16), also: [{ seq: Number.MAX_SAFE_INTEGER }, { seq: head.seq + 7 }] }]) {
    t.match(await client.request({ type: 'subscribe', room_id: room, after }), { type: 'ack', seq: head.seq })
    t.match(await client.next(frame => frame.type === 'reset'), { room_id: room, reason: 'parted', seq: 0, chain: '0'.repeat(16) })
    t.match(await client.next(frame => frame.type === 'live'), { seq: head.seq, chain: head.chain })
  }
  t.match(await client.request({ type: 'join', room_id: room }), { type: 'ack' })
  for (const reply_to of [0, head.seq + 1000, Number.MAX_SAFE_INTEGER]) t.match(await client.request({ type: 'message', room_id: room, content: 'x', reply_to }), { type: 'error', code: 'bad_reply' })
  client.cut()
})

await attack('a room or a place in the URL that is none is said, not passed over', async t => {
  for (const [query, field] of [[{ room_id: 'nonsense' }, 'room_id'], [{ room_id: room, after: '-1' }, 'after'], [{ room_id: room, after: '1.5' }, 'after'], [{ room_id: room, after: '9007199254740992' }, 'after'], [{ room_id: room, after: '' }, 'after'], [{ room_id: `${room}:log` }, 'room_id']] as const) {
    const client = await connect({ url, token, via: 'query', query })
    t.match(await client.next(frame => frame.type === 'error'), { code: 'bad_frame', field }, JSON.stringify(query))
    t.match(await client.request({ type: 'ping' }), { type: 'pong' })
    client.cut()
  }
  const beyond = await connect({ url, token, via: 'query', query: { room_id: room, after: Number.MAX_SAFE_INTEGER } })
  t.match(await beyond.next(frame => frame.type === 'reset'), { room_id: room, seq: 0 })
  beyond.cut()
  const nowhere = await connect({ url, token, via: 'query', query: { room_id: NOWHERE } })
  t.match(await nowhere.next(frame => frame.type === 'error'), { code: 'room_not_found', room_id: NOWHERE })
  nowhere.cut()
})

await attack('a content that is empty, too long, has NUL or half a pair is a bad frame; 8,000 astral characters are not', async t => {
  const client = await attacker()
  const message = async (content: string): Promise<Frame[]> => await answersTo(client, JSON.stringify({ type: 'message', room_id: LOBBY_ID, content, ref: 77 }))
  for (const content of ['', 'x'.repeat(8001), '😀'.repeat(8001), '\u0000', 'a\u0000b', '\ud800', 'a\udfff', '\udc00\ud800']) t.match(await message(content), [{ type: 'error', code: 'bad_frame', field: 'content', ref: 77 }], JSON.stringify(content.slice(0, 5)))
  for (const content of ['😀'.repeat(8000), 'x'.repeat(8000), '\u0001\u001b[2J', '\u202e', '"\\', '\uffff\ufffe', '<script>alert(1)</script>', "'; DROP TABLE events; --", '{"seq":1}']) {
    const ack = await client.request({ type: 'message', room_id: LOBBY_ID, content })
    t.match(ack, { type: 'ack', room_id: LOBBY_ID })
    t.equal(JSON.parse((await world.log.read(LOBBY_ID, ack.seq - 1, 1))[0]!.data).content, content, 'is in the log as it is')
  }
  client.cut()
})

await attack('every frame with a ref is answered, also where a later one overtakes it', async t => {
  const client = await attacker()
  const requests = Array.from({ length: 60 }, async (_, i) => await client.request({ type: i % 3 === 2 ? 'unsubscribe' : 'subscribe', room_id: room, ...(i % 3 === 1 && { after: { seq: 0 } }) }))
  for (const { type, code } of await Promise.all(requests)) t.ok(type === 'ack' || code === 'conflict', `${type} ${code}`)
  client.cut()
})

await attack('a socket that is torn away at any moment harms nobody', async () => {
  for (let i = 0; i < 60; i++) {
    const raw = await attackRaw()
    if (i % 3 === 0) raw.write(bytesOf(`{"type":"subscribe","room_id":"${room}","after":{"seq":0}}`))
    if (i % 3 === 1) raw.write(bytesOf('{"type":"message"').subarray(0, 10))
    if (i % 2 === 0) raw.socket.resetAndDestroy()
    else raw.cut()
  }
  const early = Array.from({ length: 40 }, async () => { // gone before the upgrade is answered
    const opening = upgrade(url, { token })
    setTimeout(() => { void opening.then(({ cut }) => { cut() }) }, 0)
    await opening
  })
  await Promise.all(early)
  await untilConnections(world, 1)
})

await attack('nothing secret was written, and nothing was an error', async t => {
  const output = gateway.output()
  for (const secret of [token, victim.token, token.split('.')[2]!, 'DROP TABLE', '😀', 'still here', 'correct horse battery']) t.notOk(output.includes(secret), `${secret.slice(0, 12)} is not in the output`)
  t.notMatch(output, /"level":"(?:error|fatal)"/)
})
