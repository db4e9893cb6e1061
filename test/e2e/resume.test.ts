// Resume from any age [G5], with processes as in production; and a crowd that does not read, which must cost nobody else anything.
import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createKeys } from '../../src/log/keys.ts'
import { frameOf } from '../../src/log/codec.ts'
import { connect, type Client, type Frame } from '../client.ts'
import { createRandom } from '../faults/random.ts'
import { MB, rssOf, upgrade } from '../hostile/attack.ts'
import { listen } from '../http/event-stream.ts'
import { until } from '../until.ts'
import { millrace } from './world.ts'

const MILLRACE = fileURLToPath(new URL('../../bin/millrace.js', import.meta.url))
/** A directory with logs of IRC channels; one that is made up otherwise. */
const LOGS = process.env.IRC_LOGS ?? madeUp()
const RESUMES = 50

/** Two days of a channel in which people come, speak and go. */
function madeUp (): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-logs-'))
  for (const day of ['2008-02-14', '2008-02-15']) {
    const lines = Array.from({ length: 2500 }, (_, i) => {
      const nick = `nick${(i * 7) % 40}`
      return i % 25 === 3 ? `=== ${nick} [~x@host${i}]  has joined #ubuntu` : `[${String(Math.floor(i / 2500 * 24)).padStart(2, '0')}:${String(i % 60).padStart(2, '0')}] <${nick}> line ${i}: ${'so it goes. '.repeat(i % 40)}end`
    })
    writeFileSync(join(directory, `${day}.busy.txt`), `${lines.join('\n')}\n`)
  }
  return directory
}

t.test('an imported log, trimmed whole, is resumed from anywhere after all processes and Redis were restarted [G5]', async t => {
  const world = await millrace(t, { env: { HOT_EVENTS: '0', HOT_EVENTS_MAX: '0', HOT_S: '0' } })
  const keys = createKeys(Number(world.env.PARTITIONS))
  const child = spawn(process.execPath, [MILLRACE, 'import', 'irc', '--room', 'ubuntu', ...readdirSync(LOGS).map(file => join(LOGS, file))], { env: { PATH: process.env.PATH, ...world.env } })
  let out = ''
  child.stdout.on('data', data => { out += String(data) })
  t.equal((await once(child, 'close'))[0], 0)
  const [, room = ''] = /into .+ \(([0-9a-f-]{36})\)/.exec(out) ?? []
  await until(async () => await world.redis.xlen(keys.log(room)) === 0, { what: 'the stream to be trimmed' })
  const log = await world.archiveOf(room)
  t.ok(log.length > 4000, `${log.length} events`)
  const ada = await world.signup()

  for (const role of [...world.gateways, ...world.projectors]) await role.kill()
  await world.redisServer.restart()
  for (const role of [...world.gateways, ...world.projectors]) await role.restart()
  await until(async () => (await world.api(0).get('/readyz')).status === 200 && (await world.api(1).get('/readyz')).status === 200)

  const random = createRandom(5)
  const expected = (after: number): Frame[] => log.slice(after).map(event => JSON.parse(frameOf(room, event)) as Frame)
  const resumed = await Promise.all(Array.from({ length: RESUMES }, async (_, i) => {
    const seq = i === 0 ? 0 : random.int(0, log.length)
    const after = { seq, ...(seq === 0 ? {} : { chain: log[seq - 1]!.chain }) }
    if (i % 5 === 4) {
      const stream = await listen(world.urlOf(i), `/rooms/${room}/events?after=${seq === 0 ? 0 : `${seq}:${after.chain}`}`, { token: ada.access_token })
      await stream.next(({ type }) => type === 'live', 30_000)
      t.same(stream.events.filter(({ data }) => data.event_id !== undefined).map(({ data }) => data), expected(seq), `a stream after ${seq}`)
      return { heard: async (content: string) => await stream.next(({ data }) => data.content === content), cut: stream.cut }
    }
    const client = await connect({ url: world.urlOf(i), token: ada.access_token, resume: { rooms: { [room]: after } } })
    const { seq: live } = await client.next(({ type }) => type === 'live', 30_000)
    t.equal(live, log.length)
    t.same(client.events(room), expected(seq), `a socket after ${seq}`)
    const sync = client.frames.find(({ type }) => type === 'sync')
    if (seq < log.length) t.match(sync, { source: 'archive', from: seq })
    return { heard: async (content: string) => await client.next(frame => frame.content === content), cut: client.cut }
  }))
  const writer = await world.connect(0, ada.access_token)
  await writer.request({ type: 'join', room_id: room })
  t.match(await writer.message(room, 'and it goes on'), { seq: log.length + 2 })
  for (const { heard, cut } of resumed) {
    await heard('and it goes on')
    cut()
  }
  await writer.close()
})

t.test('a hundred sockets that never read cost their buffers, and nobody else their time', async t => {
  const SOCKETS = 100
  const OUTBOX_BYTES_MAX = 262_144
  const PER_SECOND = 300
  const CHARS = 3900
  const world = await millrace(t, { gateways: 1, projectors: 0, redisArgs: [], env: { OUTBOX_BYTES_MAX: String(OUTBOX_BYTES_MAX), CONNECTIONS_PER_USER_MAX: '1000', HEARTBEAT_MS: '10000' } })
  const { access_token: token } = await world.signup()
  const room = await world.room(token)
  const url = world.urlOf(0)
  const gateway = world.gateways[0]!
  const [writer, observer] = [await connect({ url, token, framesMax: 100 }), await connect({ url, token, framesMax: 100 })]
  await observer.subscribe(room)
  let latencies: number[] = []
  observer.socket.on('message', data => {
    const sent = /"content":"([\d.]+) /.exec(String(data))?.[1]
    if (sent !== undefined) latencies.push(performance.now() - Number(sent))
  })
  const write = async (seconds: number): Promise<{ median: number, most: number }> => {
    latencies = []
    const from = performance.now()
    for (let sent = 0; sent < seconds * PER_SECOND; sent++) {
      const ahead = from + sent * 1000 / PER_SECOND - performance.now()
      if (ahead > 2) await sleep(ahead)
      writer.send({ type: 'message', room_id: room, content: `${performance.now()} `.padEnd(CHARS, 'x') })
    }
    await until(() => latencies.length >= seconds * PER_SECOND, { what: 'all to arrive' })
    const sorted = latencies.sort((a, b) => a - b)
    return { median: sorted[sorted.length >> 1]!, most: sorted.at(-1)! }
  }
  const alone = await write(3)
  const before = rssOf(gateway)
  const deaf = await Promise.all(Array.from({ length: SOCKETS }, async () => await upgrade(url, { token, query: `?room_id=${room}` })))
  await until(() => deaf.every(({ texts }) => texts().some(text => text.includes('"live"'))))
  for (const { socket } of deaf) socket.pause()
  let grown = 0
  const watching = setInterval(() => { grown = Math.max(grown, rssOf(gateway) - before) }, 50)
  const crowded = await write(5)
  clearInterval(watching)
  t.comment(`median ${alone.median.toFixed(1)} ms alone, ${crowded.median.toFixed(1)} ms in the crowd; at most ${crowded.most.toFixed(0)} ms; ${Math.round(grown / MB)} MB more`)
  t.ok(crowded.median < alone.median + 25, `${crowded.median} ms instead of ${alone.median}`)
  t.ok(grown < SOCKETS * OUTBOX_BYTES_MAX + 100 * MB, `${Math.round(grown / MB)} MB more`)
  for (const { socket } of deaf) socket.resume()
  const codes = await Promise.all(deaf.map(async ({ closed }) => await closed))
  t.same([...new Set(codes)].filter(code => code !== 1006), [4002], 'all were too slow')
  for (const client of [writer, observer] as Client[]) await client.close()
})
