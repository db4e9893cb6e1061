// A fuzzer over the schemas of the frames and their mutations, against a real gateway: whatever is sent is answered by an ack, a
// pong, or an error of the catalogue, and never ends the socket, the process or anybody else's peace.
import fc from 'fast-check'
import t from 'tap'
import { readFrame } from '../../src/gateway/frames.ts'
import { REJECTIONS } from '../../src/domain/rejections.ts'
import { connect, type Client, type Frame } from '../client.ts'
import { millrace } from '../e2e/world.ts'
import { attacks, bystander, bytesOf, untilConnections, upgrade, type RawSocket } from './attack.ts'
import { brokenText, goodFrame, mutatedFrame, NOWHERE, type Bag } from './variants.ts'

const world = await millrace(t, { gateways: 1, projectors: 0, env: { BAD_FRAMES_MAX: '100000' } })
const victim = await bystander(world)
const { access_token: token } = await world.signup()
const url = world.urlOf(0)
const ROOMS = ['lobby', victim.room, victim.room.toUpperCase(), await world.room(victim.token), NOWHERE]
const attack = attacks(t, world, victim)
/** The same run when it fails: `SEED=… tap run test/hostile/fuzz.test.ts`. */
const seeded = process.env.SEED === undefined ? {} : { seed: Number(process.env.SEED) }

let client: Client = await connect({ url, token })
let lastRef = 0

/** A token in a hello that is not ours ends the socket by contract. */
const says4100 = (text: string): boolean => {
  const read = readFrame(text)
  return 'frame' in read && read.frame.type === 'hello' && read.frame.token !== undefined && read.frame.token !== token
}

/** Sends a text and checks that it is answered as its reading demands; throws what is wrong. */
async function checkAnswer (text: string): Promise<void> {
  const read = readFrame(text)
  const ref = 'frame' in read ? read.frame.ref : read.ref
  const from = client.frames.length
  const before = new Set(client.frames) // a ref may be used again: only what comes now is an answer
  client.raw(text)
  if (says4100(text)) {
    const { code } = await client.closed
    if (code !== 4100) throw new Error(`closed with ${code} instead of 4100`)
    client = await connect({ url, token })
    return
  }
  const isAnswer = (frame: Frame): boolean => !before.has(frame) && ['ack', 'pong', 'error'].includes(frame.type)
  if (ref !== undefined) await client.next(frame => isAnswer(frame) && frame.ref === ref)
  else if ('rejection' in read) await client.next(frame => isAnswer(frame) && frame.code === 'bad_frame' && frame.ref === undefined)
  const pong = await client.request({ type: 'ping' })
  if (pong.type !== 'pong') throw new Error(`no pong but ${JSON.stringify(pong)}`)
  for (const frame of client.frames.slice(from)) {
    if (frame.type === 'unreadable' || frame.type === 'bye') throw new Error(JSON.stringify(frame))
    if (frame.type === 'error' && (!Object.hasOwn(REJECTIONS, frame.code) || ['internal', 'unavailable'].includes(frame.code))) throw new Error(JSON.stringify(frame))
    if (frame.type === 'error' && (frame.code === 'bad_frame') !== ('rejection' in read) && frame.ref === ref && ref !== undefined) throw new Error(`${JSON.stringify(frame)} to what ${'rejection' in read ? 'is bad' : 'is good'}`)
  }
}

/** As text, with a ref of its own where it has one that can be read, so that its answer is its own. */
function textOf (frame: Bag): string {
  if (typeof frame.ref === 'number' && Number.isFinite(frame.ref)) frame.ref = 1_000_000 + ++lastRef
  const text = JSON.stringify(frame)
  return Buffer.byteLength(text) > 65_536 ? '{}' : text
}

await attack('good frames, in any order, are answered as they ask for', async () => {
  await fc.assert(fc.asyncProperty(goodFrame(ROOMS), async frame => { await checkAnswer(textOf(frame)) }), { numRuns: 500, ...seeded })
})

await attack('mutated frames are answered by a stable code, and end nothing', async () => {
  await fc.assert(fc.asyncProperty(mutatedFrame(ROOMS), async frame => { await checkAnswer(textOf(frame)) }), { numRuns: 2000, ...seeded })
})

await attack('texts that were frames are answered by a stable code, and end nothing', async () => {
  await fc.assert(fc.asyncProperty(brokenText(ROOMS), async text => { await checkAnswer(text.isWellFormed() ? text : '{') }), { numRuns: 1000, ...seeded })
})

await attack('bytes that are anything at all end at most their own socket, with a code of RFC 6455', async t => {
  const codes = new Map<number, number>()
  let raw: RawSocket | undefined
  const chunk = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 300 }).map(bytes => Buffer.from(bytes)),
    fc.record({ opcode: fc.nat(15), fin: fc.boolean(), rsv: fc.constantFrom(0, 0, 0, 1, 4), masked: fc.constantFrom(true, true, true, false), payload: fc.uint8Array({ maxLength: 200 }) }).map(({ payload, ...bits }) => bytesOf(Buffer.from(payload), bits))
  )
  await fc.assert(fc.asyncProperty(fc.array(chunk, { minLength: 1, maxLength: 6 }), async chunks => {
    raw = await upgrade(url, { token })
    for (const bytes of chunks) raw.write(bytes)
    raw.socket.end() // an end of the stream at any place
    const code = await raw.closed
    codes.set(code, (codes.get(code) ?? 0) + 1)
    return code >= 1000 && code < 5000 // a close of the client's own comes back as it was
  }), { numRuns: 400, ...seeded })
  t.ok((codes.get(1002) ?? 0) > 50, JSON.stringify([...codes]))
  await untilConnections(world, 2)
})

await attack('requests to upgrade that are wrong are answered in HTTP, and end nothing', async t => {
  const bad: Array<Record<string, string>> = [
    { 'Sec-WebSocket-Version': '12' }, { 'Sec-WebSocket-Key': 'short' }, { 'Sec-WebSocket-Protocol': ',,' }, { 'Sec-WebSocket-Protocol': 'a, a' }, { Upgrade: 'h2c' }, { 'Sec-WebSocket-Extensions': 'permessage-deflate; x=\u0001' },
  ]
  for (const headers of bad) {
    const { head, cut } = await upgrade(url, { token, headers })
    t.match(head, /^(?:HTTP\/1\.1 (?:400|404|405|426|101) |$)/, JSON.stringify(headers))
    cut()
  }
  await fc.assert(fc.asyncProperty(fc.dictionary(fc.stringMatching(/^Sec-WebSocket-(?:Key|Version|Protocol|Extensions)$|^(?:Upgrade|Connection|Authorization)$/), fc.stringMatching(/^[\x20-\x7e]{0,40}$/), { minKeys: 1, maxKeys: 3 }), fc.webQueryParameters(), async (headers, query) => {
    const { head, cut } = await upgrade(url, { query: `?${query}`, headers })
    cut()
    return head === '' || /^HTTP\/1\.1 (?:101|4\d\d) /.test(head)
  }), { numRuns: 200, ...seeded })
  for (const path of ['/', '/rooms', '/nothing', '/auth/login', '/healthz', '/metrics', '/%zz', '/ws/', '//ws', '/WS']) {
    const { head, cut, closed } = await upgrade(url, { token, path })
    if (head.startsWith('HTTP/1.1 101')) t.ok(await closed < 1100, `${path} has no socket to talk to`)
    else t.match(head, /^HTTP\/1\.1 [24]\d\d /, path)
    cut()
  }
  t.equal((await fetch(new URL('/ws', url))).status, 426, 'and GET /ws without one says that it wants one')
})

await attack('no error was logged, and no secret', async t => {
  const output = world.gateways[0]!.output()
  t.notMatch(output, /"level":"(?:error|fatal)"/)
  for (const secret of [token, victim.token]) t.notOk(output.includes(secret))
})
