// Crowds that hold on to the server and give nothing back: they never say hello, never pong, never read. Each is ended in time
// by its code, and the memory that it held is bounded.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { connect } from '../client.ts'
import { millrace } from '../e2e/world.ts'
import { until } from '../until.ts'
import { attacks, bystander, bytesOf, MB, metric, rssOf, untilConnections, upgrade, type RawSocket } from './attack.ts'

const HELLO_MS = 2000
const HEARTBEAT_MS = 2500
const OUTBOX_BYTES_MAX = 65_536
const BIG = 'x'.repeat(8000)

const world = await millrace(t, { gateways: 1, projectors: 0, redisArgs: [], env: { RATE_LIMITS: 'on', SENDS_PER_SECOND: '20000', SENDS_BURST: '100000', ROOM_SENDS_PER_SECOND: '20000', ROOM_SENDS_BURST: '100000', ADDRESS_UPGRADES_PER_SECOND: '5000', ADDRESS_UPGRADES_BURST: '10000', UPGRADES_PER_SECOND: '5000', CONNECTIONS_PER_USER_MAX: '1000', FRAMES_PER_SECOND: '2000', HELLO_MS: String(HELLO_MS), HEARTBEAT_MS: String(HEARTBEAT_MS), OUTBOX_BYTES_MAX: String(OUTBOX_BYTES_MAX) } })
const victim = await bystander(world)
const { access_token: token } = await world.signup()
const room = await world.room(token)
const url = world.urlOf(0)
const gateway = world.gateways[0]!
const attack = attacks(t, world, victim)

async function crowd (count: number, open: () => Promise<RawSocket>): Promise<RawSocket[]> {
  const sockets: RawSocket[] = []
  while (sockets.length < count) sockets.push(...await Promise.all(Array.from({ length: Math.min(100, count - sockets.length) }, open)))
  return sockets
}

/** The most that the gateway held, over what it held before, until told to stop. */
function watchMemory () {
  const before = rssOf(gateway)
  let most = before
  const timer = setInterval(() => { most = Math.max(most, rssOf(gateway)) }, 50)
  return () => { clearInterval(timer); return Math.max(most, rssOf(gateway)) - before }
}

await attack('1,000 sockets that never say hello are closed in time, and their memory comes back', async t => {
  const round = async (count: number): Promise<number[]> => {
    const silent = await crowd(count, async () => await upgrade(url))
    return await Promise.all(silent.map(async ({ closed }) => await closed))
  }
  const codes = await round(1000)
  t.same([...new Set(codes)], [4100])
  await untilConnections(world, 1)
  const warm = rssOf(gateway)
  t.same([...new Set(await round(1000))], [4100])
  await untilConnections(world, 1)
  const grown = rssOf(gateway) - warm
  t.ok(grown < 60 * MB, `the second thousand left ${Math.round(grown / MB)} MB`)
})

/** Sends to the room until told to stop. */
async function writeTo (room_id: string, enough: (sent: number) => boolean | Promise<boolean>): Promise<number> {
  const writer = await connect({ url, token, framesMax: 100 })
  let sent = 0
  for (; !await enough(sent); sent += 40) await Promise.all(Array.from({ length: 40 }, async () => await writer.message(room_id, BIG)))
  await writer.close()
  return sent
}

await attack('one that never reads is closed with 4002, after all that came before it, without a gap', async t => {
  const slow = await upgrade(url, { token, query: `?room_id=${room}` })
  await until(() => slow.texts().some(text => text.includes('"live"')))
  slow.socket.pause()
  await writeTo(room, async sent => {
    if (sent > 20_000) throw new Error('it was never too much')
    await sleep(HEARTBEAT_MS / 20) // the gauge moves that often
    return await metric(url, 'millrace_outbox_bytes') > OUTBOX_BYTES_MAX
  })
  slow.socket.resume()
  t.equal(await slow.closed, 4002)
  const frames = slow.texts().map(text => JSON.parse(text))
  t.match(frames.at(-1), { type: 'bye', code: 4002, resume: true })
  const seqs = frames.filter(({ type }) => type === 'message').map(({ seq }) => seq as number)
  t.same(seqs, seqs.map((_, i) => seqs[0]! + i))
})

await attack('one that catches up and reads slowly is served at its own pace', async t => {
  const { seq: head } = (await world.log.heads([room])).heads.get(room)!
  const slow = await upgrade(url, { token })
  slow.socket.on('data', () => { // 64 KB, then a rest
    slow.socket.pause()
    setTimeout(() => { slow.socket.resume() }, 10)
  })
  slow.write(bytesOf(JSON.stringify({ type: 'subscribe', room_id: room, after: { seq: 0 } })))
  const pong = setInterval(() => { slow.write(bytesOf('', { opcode: 10 })) }, HEARTBEAT_MS / 3)
  await until(() => slow.socket.destroyed || slow.texts().some(text => text.startsWith('{"type":"live"')), { what: 'live' })
  clearInterval(pong)
  const seqs = slow.texts().map(text => JSON.parse(text)).filter(({ event_id: id }) => id !== undefined).map(({ seq }) => seq as number)
  t.same(seqs, Array.from({ length: head }, (_, i) => i + 1))
  t.ok(head * BIG.length > 2 * MB, `${Math.round(head * BIG.length / MB)} MB were read`)
  slow.cut()
})

await attack('a crowd that never reads costs its buffers and no more, live or catching up, or asking for ever', async t => {
  const memory = watchMemory()
  const live = await crowd(40, async () => await upgrade(url, { token, query: `?room_id=${room}` }))
  await until(() => live.every(({ texts }) => texts().some(text => text.includes('"live"'))))
  const behind = await crowd(40, async () => {
    const raw = await upgrade(url, { token })
    raw.socket.pause()
    raw.write(bytesOf(JSON.stringify({ type: 'subscribe', room_id: room, after: { seq: 0 } })))
    return raw
  })
  const asking = await crowd(3, async () => {
    const raw = await upgrade(url, { token })
    raw.socket.pause()
    const chunk = Buffer.concat(Array.from({ length: 2000 }, (_, i) => bytesOf(`{"type":"ping","ref":${i}}`)))
    const ask = (): void => { if (!raw.socket.destroyed) raw.socket.write(chunk, () => setImmediate(ask)) }
    ask()
    return raw
  })
  for (const { socket } of live) socket.pause()
  await writeTo(room, sent => sent >= 1200)
  // Those who go on asking show signs of life, a chunk a second; they end when what they do not read is too much.
  await untilConnections(world, 1 + asking.length, 30_000)
  const grown = memory()
  t.ok(grown < 300 * MB, `${Math.round(grown / MB)} MB at most for ${live.length + behind.length + asking.length} sockets and ${Math.round(1200 * BIG.length / MB)} MB sent to each`)
  for (const { cut } of [...live, ...behind, ...asking]) cut()
  await untilConnections(world, 1)
})

await attack('half-open sockets, which read and never pong, are closed with 4003', async t => {
  const half = await crowd(20, async () => await upgrade(url, { token, query: `?room_id=${room}` }))
  const codes = await Promise.all(half.map(async ({ closed }) => await closed))
  t.same([...new Set(codes)], [4003])
  for (const { texts } of half) t.match(JSON.parse(texts().at(-1)!), { type: 'bye', code: 4003, resume: true })
})

await attack('nothing secret was written, and nothing was an error', async t => {
  const output = gateway.output()
  for (const secret of [token, victim.token, BIG.slice(0, 50)]) t.notOk(output.includes(secret))
  t.notMatch(output, /"level":"(?:error|fatal)"/)
})
