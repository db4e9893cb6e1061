import t from 'tap'
import fc from 'fast-check'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { START, type Position } from '../../src/domain/position.ts'
import { chainOf } from '../../src/log/chain.ts'
import type { LogEvent } from '../../src/log/codec.ts'
import { createRedisLog } from '../../src/log/redis-log.ts'
import { createSubscriptions, type Subscriptions } from '../../src/log/subscriptions.ts'
import { createTail, parseBell } from '../../src/log/tail.ts'
import { createTrace } from '../../src/log/trace.ts'
import { testRedis } from '../dev/servers.ts'
import { until } from '../until.ts'
import { liftFences, logger, logWorld, newRoom, unit } from './world.ts'

type World = Awaited<ReturnType<typeof logWorld>>
interface Teardown { teardown: (fn: () => unknown) => unknown }

const deaf = (real: Subscriptions): Subscriptions => ({ ...real, add: (channel, listener) => { real.add(channel, { ...listener, onMessage: () => {} }) } })

/** The log of another process on the same Redis: what is appended through it is known from its bells alone. */
const otherLog = ({ redis, keys }: World) => createRedisLog({ redis, keys, log: logger })

/** @param log through which it reads; left out: one that nothing is appended through */
function startTail (t: Teardown, world: World, compareMs: number, wrap: (real: Subscriptions) => Subscriptions = real => real, log = otherLog(world)) {
  const client = world.subscriber()
  const subscriptions = wrap(createSubscriptions({ client, logger }))
  const tail = createTail({ ...world, log, readArchive: async () => [], subscriptions, compareMs, logger })
  t.teardown(async () => {
    await tail.close()
    subscriptions.close()
  })
  return tail
}

/** Follows a room and folds what it is told, as a client would; fails on anything that does not continue the run. */
async function follow (tail: ReturnType<typeof createTail>, room: string) {
  const told = { events: [] as LogEvent[], resets: [] as Position[], from: START as Position, problems: [] as string[] }
  const followed = await tail.follow(room, {
    onEvents: events => {
      for (const event of events) {
        const last = told.events.at(-1) ?? told.from
        if (event.seq !== last.seq + 1 || event.chain !== chainOf(last.chain, event.event_id)) told.problems.push(`${event.seq} after ${last.seq}`)
        told.events.push(event)
      }
    },
    onReset: position => {
      told.resets.push(position)
      told.events = told.events.filter(({ seq }) => seq <= position.seq)
      if (position.seq < told.from.seq) told.from = position
    },
  })
  told.from = followed.position()
  return { ...followed, told }
}

t.test('bells carry events, and are hints', async t => {
  const server = await testRedis(t)
  const world = await logWorld(t, server.url)
  const { log } = world

  await t.test('what is appended is delivered at once, as it is in the log', async t => {
    const tail = startTail(t, world, 60_000)
    const room = await newRoom(log)
    const { told, position } = await follow(tail, room)
    t.equal(position().seq, 1)
    const read = async (): Promise<number> => (await world.metrics.holesFilled.get()).values[0]!.value
    const heard = async (): Promise<number> => (await world.metrics.bells.get()).values.find(({ labels }) => labels.result === 'delivered')?.value ?? 0
    await until(async () => {
      await log.append(room, [unit('until the subscription stands')])
      return await heard() > 0
    })
    const { seq } = (await log.heads([room])).heads.get(room)!
    await until(() => position().seq === seq)
    const before = await read()
    for (let i = 0; i < 20; i++) await log.append(room, [unit(`m${i}`), unit(`n${i}`)])
    await until(() => position().seq === seq + 40)
    t.same(told.events, await log.read(room, 1, 100))
    t.same(told.problems, [])
    t.equal(await read(), before, 'without reading the log')
  })

  await t.test('what this process appends is delivered before it is answered, without a bell; the bell is known then', async t => {
    const own = otherLog(world)
    const held: Array<() => void> = []
    const late = (real: Subscriptions): Subscriptions => ({ ...real, add: (channel, listener) => { real.add(channel, { ...listener, onMessage: (...message) => { held.push(() => { listener.onMessage(...message) }) } }) } })
    const tail = startTail(t, world, 60_000, late, own)
    const room = await newRoom(log)
    const { told, position } = await follow(tail, room)
    await until(async () => Number((await world.redis.call('PUBSUB', 'SHARDNUMSUB', world.keys.bell(room)) as string[])[1]) === 1)
    const several = { ...unit('two events'), events: [...unit('a').events, ...unit('b').events] }
    for (const units of [[unit('x'), unit('y'), several], [unit('z')]]) {
      await own.append(room, units)
      t.equal(position().seq, (await log.heads([room])).heads.get(room)!.seq)
    }
    t.same(told.events, await log.read(room, 1, 100))
    await until(() => held.length === 2)
    const bells = async (): Promise<object> => Object.fromEntries((await world.metrics.bells.get()).values.map(({ labels, value }) => [labels.result, value]))
    const before = await bells() as { known: number }
    for (const ring of held) ring()
    t.same(await bells(), { ...before, known: before.known + 5 })
    t.equal(told.events.length, 5)
    t.same(told.problems, [])
  })

  await t.test('what this process appends after what it has not heard of waits for that [G1] [G4]', async t => {
    const own = otherLog(world)
    const tail = startTail(t, world, 100, deaf, own)
    const room = await newRoom(log)
    const { told } = await follow(tail, room)
    await Promise.all(Array.from({ length: 200 }, async (_, i) => await (i % 2 === 0 ? log : own).append(room, [unit(`m${i}`)])))
    await until(() => told.events.length === 200)
    t.same(told.events, await log.read(room, 1, 1000))
    t.same([told.problems, told.resets], [[], []])
  })

  await t.test('a room is followed once, and no more after its release', async t => {
    const tail = startTail(t, world, 60_000)
    const room = await newRoom(log)
    const { told, release } = await follow(tail, room)
    await t.rejects(follow(tail, room))
    release()
    release()
    await log.append(room, [unit('x')])
    const again = await follow(tail, room)
    await log.append(room, [unit('y')])
    await until(() => again.told.events.length === 1)
    t.same(told.events, [])
  })

  await t.test('however bells are dropped, doubled, delayed, reordered, and connections killed: each event once, in order [G4]', async t => {
    const fault = fc.constantFrom('pass', 'pass', 'drop', 'double', 'delay', 'swap', 'cut')
    await fc.assert(fc.asyncProperty(fc.array(fault, { minLength: 5, maxLength: 60 }), fc.integer({ min: 1, max: 4 }), async (faults, batch) => {
      const cleanups: Array<() => unknown> = []
      const scope = { teardown: (fn: () => unknown) => { cleanups.push(fn) } }
      let heard = 0
      const tail = startTail(scope, world, 100, real => ({
        ...real,
        add (channel, listener) {
          let kept: string | undefined
          real.add(channel, {
            ...listener,
            onMessage (text, channel) {
              switch (faults[heard++ % faults.length]) {
                case 'drop': return
                case 'double': listener.onMessage(text, channel); break
                case 'delay': setTimeout(() => { listener.onMessage(text, channel) }, 30); return
                case 'swap': if (kept === undefined) { kept = text; return } break
                case 'cut': void world.redis.client('KILL', 'TYPE', 'PUBSUB').catch(() => {})
              }
              listener.onMessage(text, channel)
              if (kept !== undefined) listener.onMessage(kept, channel)
              kept = undefined
            },
          })
        },
      }))
      try {
        const room = await newRoom(log)
        const { told } = await follow(tail, room)
        for (let i = 0; i < faults.length; i++) await log.append(room, Array.from({ length: batch }, (_, j) => unit(`${i}.${j}`)))
        await until(() => told.events.length >= faults.length * batch, { what: 'all events' })
        const expected = await log.read(room, 1, 1000)
        if (told.problems.length > 0 || told.resets.length > 0) throw new Error(JSON.stringify({ ...told, events: undefined }))
        t.same(told.events, expected)
      } finally {
        for (const cleanup of cleanups.reverse()) await cleanup()
      }
    }), { numRuns: 25 })
  })

  await t.test('with every bell lost, events come by the comparison of heads alone [G4]', async t => {
    const tail = startTail(t, world, 100, deaf)
    const rooms = await Promise.all(Array.from({ length: 30 }, async () => await newRoom(log)))
    const followed = await Promise.all(rooms.map(async room => await follow(tail, room)))
    await Promise.all(rooms.map(async room => { for (let i = 0; i < 10; i++) await log.append(room, [unit('x')]) }))
    await until(() => followed.every(({ told }) => told.events.length === 10))
    t.ok(followed.every(({ told }) => told.problems.length === 0))
  })

  await t.test('after the subscriber was cut off, what it missed is read at once, not at the next comparison', async t => {
    const tail = startTail(t, world, 60_000)
    const room = await newRoom(log)
    const { told } = await follow(tail, room)
    await log.append(room, [unit('before')])
    await until(() => told.events.length === 1)
    await Promise.all([world.redis.client('KILL', 'TYPE', 'PUBSUB'), ...Array.from({ length: 50 }, async () => await log.append(room, [unit('meanwhile')]))])
    await until(() => told.events.length === 51)
    t.same(told.problems, [])
  })

  await t.test('an event that is missing in the middle of the stream is taken from the archive', async t => {
    const room = await newRoom(log)
    const client = world.subscriber()
    const subscriptions = createSubscriptions({ client, logger })
    let archived: LogEvent[] = []
    const tail = createTail({ ...world, log: otherLog(world), readArchive: async (_, after, limit) => archived.filter(({ seq }) => seq > after).slice(0, limit), subscriptions, compareMs: 100, logger })
    t.teardown(async () => { await tail.close(); subscriptions.close() })
    const { told } = await follow(tail, room)
    await world.redis.client('PAUSE', 300, 'WRITE').catch(() => {})
    const appended = Array.from({ length: 3 }, async () => await log.append(room, [unit('x')]))
    await Promise.all(appended)
    archived = await log.read(room, 0, 100)
    await until(() => told.events.length === 3)
    t.same(told.events, archived.slice(1))
  })
})

t.test('a half-open subscriber connection is noticed and replaced', async t => {
  const server = await testRedis(t)
  const world = await logWorld(t, server.url)
  const { createServer, connect } = await import('node:net')
  let hold = false
  const proxy = createServer(client => {
    const upstream = connect(server.port, '127.0.0.1')
    const mine = !hold
    upstream.on('data', data => { if (!(mine && hold)) client.write(data) })
    client.on('data', data => { if (!(mine && hold)) upstream.write(data) })
    for (const [one, other] of [[client, upstream], [upstream, client]] as const) one.on('close', () => other.destroy()).on('error', () => {})
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  t.teardown(() => { proxy.close() })
  const { connectSubscriber } = await import('../../src/log/redis.ts')
  const { port } = proxy.address() as { port: number }
  const through = { ...world, subscriber: () => connectSubscriber(`redis://127.0.0.1:${port}`, 'half-open', logger) }
  const tail = startTail(t, through, 60_000)
  const room = await newRoom(world.log)
  const { told } = await follow(tail, room)
  await world.log.append(room, [unit('a')])
  await until(() => told.events.length === 1)
  hold = true
  await world.log.append(room, [unit('b')])
  await until(() => told.events.length === 2, { what: 'the event behind the half-open connection' })
})

t.test('a log that comes back with less, and then with another history, resets to the newest common position [G8]', async t => {
  const server = await testRedis(t, { args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  const world = await logWorld(t, server.url)
  const tail = startTail(t, world, 100)
  const room = await newRoom(world.log)
  const { told } = await follow(tail, room)
  for (let i = 0; i < 5; i++) await world.log.append(room, [unit(`kept ${i}`)])
  const copy = join(server.dir, 'copy')
  await cp(join(server.dir, 'appendonlydir'), copy, { recursive: true })
  const common = (await world.log.heads([room])).heads.get(room)!
  for (let i = 0; i < 5; i++) await world.log.append(room, [unit(`lost ${i}`)])
  await until(() => told.events.length === 10)

  await server.kill()
  await rm(join(server.dir, 'appendonlydir'), { recursive: true })
  await cp(copy, join(server.dir, 'appendonlydir'), { recursive: true })
  await server.restart()
  await until(() => world.redis.status === 'ready')
  await new Promise(resolve => setTimeout(resolve, 300))
  t.same(told.resets, [], 'while fenced nothing is concluded')

  await liftFences(world.redis, world.keys)
  await until(() => told.resets.length === 1)
  t.same(told.resets, [common])
  for (let i = 0; i < 7; i++) await world.log.append(room, [unit(`other ${i}`)])
  await until(() => told.events.length === 12)
  t.same(told.problems, [])
  t.same(told.events, await world.log.read(room, 1, 100))
})

t.test('a trace finds what it was given: the last 256, then powers of two', async t => {
  const trace = createTrace(START)
  for (let seq = 1; seq <= 5000; seq++) trace.add(seq, `c${seq}`)
  const seqs = trace.positions().map(({ seq }) => seq)
  t.same(seqs.slice(0, 256), Array.from({ length: 256 }, (_, i) => 5000 - i))
  t.ok(seqs.includes(4096) && seqs.length < 270)
  t.equal(trace.chainAt(5000), 'c5000')
  t.equal(trace.chainAt(4096), 'c4096')
  t.equal(trace.chainAt(0), START.chain)
  t.equal(trace.chainAt(100), undefined)
  trace.cut(4900)
  t.equal(trace.positions()[0]!.seq, 4900)
})

t.test('what is no bell is not taken for one', async t => {
  t.same(parseBell(''), [])
  t.same(parseBell('hello\n1 2\n1 2 3 4'), [])
  t.same(parseBell('7 abc id 1'), [])
  t.same(parseBell('7 abc id 1 - {"a":"b c"}'), [{ seq: 7, chain: 'abc', event_id: 'id', v: 1, data: '{"a":"b c"}' }])
  t.same(parseBell('7 abc id 1 a%20b {}\n8 def id 2 - {}').map(({ seq, by }) => [seq, by]), [[7, 'a b'], [8, undefined]])
})
