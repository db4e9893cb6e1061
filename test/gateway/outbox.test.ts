// Outboxes reach below ws. Here a ws client decodes what they wrote, so a ws that changes fails this test, and the way round it
// is held to the same.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setImmediate as turnOfLoop } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { createOutboxes, rawSocketOf, textsOf, wireFrame } from '../../src/gateway/outbox.ts'
import { createTurn } from '../../src/gateway/turn.ts'
import { until } from '../until.ts'

const LENGTHS = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000]

/** Both ends of a WebSocket. */
async function pair (t: Test, perMessageDeflate = false) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate })
  t.teardown(() => { server.close() })
  await once(server, 'listening')
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, { perMessageDeflate })
  const [[ws]] = await Promise.all([once(server, 'connection') as Promise<[WebSocket]>, once(client, 'open')])
  t.teardown(() => { client.terminate(); ws.terminate() })
  const texts: string[] = []
  client.on('message', (data, isBinary) => { texts.push(isBinary ? 'binary' : String(data)) })
  const closed = once(client, 'close')
  return { ws, client, texts, closed }
}

function outboxes (bytesMax = 1_000_000) {
  const turn = createTurn()
  return createOutboxes({ bytesMax, turn })
}

/** A socket of ws as far as an outbox looks: what is written waits until `read`. */
function standIn ({ raw = true } = {}) {
  const written: Buffer[] = []
  let waits = 0
  let drain = (): void => {}
  const socket = {
    write (bytes: Buffer) { written.push(bytes); waits += bytes.length },
    get writableLength () { return waits },
    once (_: string, listener: () => void) { drain = listener },
    removeListener () {},
  }
  const ws = {
    OPEN: 1,
    readyState: 1,
    extensions: raw ? '' : 'permessage-deflate',
    _socket: socket,
    send (text: string) { socket.write(Buffer.from(text)) },
    get bufferedAmount () { return waits },
  }
  return { ws: ws as unknown as WebSocket, written, read: () => { waits = 0; drain() }, close: () => { ws.readyState = 2 } }
}

t.test('frames of every length class are decoded by ws to what went in', async t => {
  const { ws, texts } = await pair(t)
  t.ok(rawSocketOf(ws), 'this ws lets us write below it')
  const outbox = outboxes().open(ws, () => t.fail('slow'))
  const sent = [...LENGTHS.map(length => 'x'.repeat(length)), ...LENGTHS.map(length => 'é'.repeat(length >> 1)), '😀 "\\\u2028\u0000']
  for (const text of sent) outbox.push(wireFrame(text))
  await until(() => texts.length === sent.length)
  t.same(texts, sent)
})

t.test('a compressed connection gets the same, through ws.send', async t => {
  const { ws, texts } = await pair(t, true)
  t.match(ws.extensions, /permessage-deflate/)
  t.equal(rawSocketOf(ws), undefined)
  const outbox = outboxes().open(ws, () => t.fail('slow'))
  const sent = LENGTHS.map(length => 'x'.repeat(length))
  outbox.push(Buffer.concat(sent.map(wireFrame)))
  outbox.send({ type: 'last' })
  await until(() => texts.length === sent.length + 1)
  t.same(texts, [...sent, '{"type":"last"}'])
})

t.test('ws may speak in between: pings, pongs and the close never mix with our frames', async t => {
  const { ws, client, texts, closed } = await pair(t)
  const outbox = outboxes().open(ws, () => t.fail('slow'))
  let pongs = 0
  client.on('pong', () => { pongs += 1 })
  let pings = 0
  client.on('ping', () => { pings += 1 })
  for (let i = 0; i < 500; i++) {
    outbox.send({ i, fill: 'x'.repeat(i % 300) })
    if (i % 10 === 0) { ws.ping(); client.ping() }
    if (i % 100 === 0) await turnOfLoop()
  }
  outbox.send({ type: 'bye' })
  outbox.flush()
  ws.close(4001, 'over')
  const [code] = await closed
  t.equal(code, 4001)
  t.same(texts.slice(0, -1).map(text => JSON.parse(text).i), Array.from({ length: 500 }, (_, i) => i))
  t.equal(texts.at(-1), '{"type":"bye"}')
  t.equal(pings, 50)
  t.ok(pongs > 0)
})

t.test('the texts of a run of frames come out as they went in', async t => {
  const sent = LENGTHS.map(length => 'ä'.repeat(length))
  t.same(textsOf(Buffer.concat(sent.map(wireFrame))), sent)
  t.same(textsOf(Buffer.alloc(0)), [])
})

t.test('all that a turn of the loop queues is one write, in order', async t => {
  const { ws, written } = standIn()
  const outbox = outboxes().open(ws, () => t.fail('slow'))
  for (let i = 0; i < 5; i++) outbox.send({ i })
  t.equal(written.length, 0)
  await turnOfLoop()
  t.equal(written.length, 1)
  t.same(textsOf(written[0]!).map(text => JSON.parse(text).i), [0, 1, 2, 3, 4])
  const shared = wireFrame('shared')
  outbox.push(shared)
  await turnOfLoop()
  t.equal(written[1], shared, 'a frame alone is not copied')
})

for (const raw of [true, false]) {
  t.test(`more than may wait is reported once, ${raw ? 'below ws' : 'through ws.send'}`, async t => {
    const { ws, read } = standIn({ raw })
    let slow = 0
    const outbox = outboxes(1000).open(ws, () => { slow += 1 })
    outbox.push(wireFrame('x'.repeat(900)))
    outbox.flush()
    t.equal(slow, 0)
    for (let i = 0; i < 3; i++) {
      outbox.push(wireFrame('x'.repeat(900)))
      outbox.flush()
    }
    t.equal(slow, 1)
    read()
    outbox.push(wireFrame('x'.repeat(5000)))
    outbox.flush()
    t.equal(slow, 1)
  })
}

t.test('what is queued for a socket that is closing is dropped', async t => {
  const { ws, written, close } = standIn()
  const outbox = outboxes().open(ws, () => t.fail('slow'))
  outbox.send({ a: 1 })
  close()
  outbox.send({ a: 2 })
  await turnOfLoop()
  outbox.flush()
  t.equal(written.length, 0)
})

t.test('drained waits until the client has read, and ends when the socket does', async t => {
  const { ws, read, close } = standIn()
  const outbox = outboxes().open(ws, () => t.fail('slow'))
  await outbox.drained()
  outbox.push(wireFrame('x'.repeat(100_000)))
  let drained = false
  const waiting = outbox.drained().then(() => { drained = true })
  t.equal(outbox.bytes(), wireFrame('x'.repeat(100_000)).length, 'asking flushes')
  await turnOfLoop()
  t.equal(drained, false)
  read()
  await waiting
  outbox.push(wireFrame('x'.repeat(100_000)))
  const second = outbox.drained()
  close()
  await second
})

t.test('one outbox that fails to take its frames keeps none from the others', async t => {
  const all = outboxes(100)
  const first = standIn()
  const second = standIn()
  let slow = 0
  const a = all.open(first.ws, () => { slow += 1; a.send({ type: 'bye' }); a.flush() })
  const b = all.open(second.ws, () => t.fail('slow'))
  a.push(wireFrame('x'.repeat(200)))
  b.push(wireFrame('y'))
  await turnOfLoop()
  t.equal(slow, 1)
  t.same(textsOf(Buffer.concat(first.written)), ['x'.repeat(200), '{"type":"bye"}'])
  t.same(textsOf(Buffer.concat(second.written)), ['y'])
})
