// Signals to users and ephemeral frames to rooms, over a real Redis: who hears them, what is gathered into one message, and what an
// idle user costs.
import t from 'tap'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createPeople } from '../../src/gateway/people.ts'
import { createPeopleKeys } from '../../src/log/people-keys.ts'
import { parseEphemeral, type Ephemeral } from '../../src/log/ephemeral.ts'
import { createPublisher } from '../../src/log/publisher.ts'
import { createSignals, type Signal } from '../../src/log/signals.ts'
import { createSubscriptions } from '../../src/log/subscriptions.ts'
import { createTail } from '../../src/log/tail.ts'
import { uuidv7 } from '../../src/ids.ts'
import { testRedis } from '../dev/servers.ts'
import { until } from '../until.ts'
import { logger, logWorld, newRoom, unit } from './world.ts'

type World = Awaited<ReturnType<typeof logWorld>>

/** Heap of one user who is here and idle, bytes. */
const IDLE_BYTES_MAX = 400

function node (t: { teardown: (fn: () => unknown) => unknown }, world: World) {
  const { redis, keys, metrics } = world
  const peopleKeys = createPeopleKeys(keys)
  const subscriptions = createSubscriptions({ client: world.subscriber(), logger })
  t.teardown(() => { subscriptions.close() })
  const publisher = createPublisher({ redis, keys, peopleKeys, metrics })
  return { publisher, subscriptions, peopleKeys, signals: createSignals({ publisher, subscriptions, peopleKeys }) }
}

t.test('signals reach the sockets of a user on all nodes, and nobody else', async t => {
  const server = await testRedis(t)
  const world = await logWorld(t, server.url)
  const [a, b] = [node(t, world), node(t, world)]
  const [ada, bob] = [uuidv7(), uuidv7()]
  const subscribers = async (userId: string): Promise<number> => Number((await world.redis.call('PUBSUB', 'SHARDNUMSUB', a.peopleKeys.signals(userId)) as string[])[1])
  const heard: Array<[string, Signal, string]> = []
  const listen = (name: string, { signals }: ReturnType<typeof node>, userId: string): () => void => signals.listen(userId, (signal, user) => { heard.push([name, signal, user]) })
  const ends = [listen('a1', a, ada), listen('a2', a, ada), listen('b', b, ada), listen('bob', b, bob)]
  await until(async () => await subscribers(ada) === 2 && await subscribers(bob) === 1)

  await t.test('each with its fields, in the order sent', async t => {
    b.signals.send(ada, { type: 'frame', frame: { type: 'unread', text: 'a\nb' }, except: 'me' })
    b.signals.send(ada, { type: 'room', room_id: 'r', seq: 7 })
    await until(() => heard.length === 6)
    for (const name of ['a1', 'a2', 'b']) {
      t.same(heard.filter(([who]) => who === name), [
        [name, { type: 'frame', frame: { type: 'unread', text: 'a\nb' }, except: 'me' }, ada],
        [name, { type: 'room', room_id: 'r', seq: 7 }, ada],
      ])
    }
  })

  await t.test('the last listener of a node leaves the channel', async t => {
    ends[0]!()
    ends[0]!()
    heard.length = 0
    a.signals.send(ada, { type: 'room', room_id: 'r', seq: 8 })
    await until(() => heard.length === 2)
    t.same(heard.map(([name]) => name).sort(), ['a2', 'b'])
    ends[1]!()
    await until(async () => await subscribers(ada) === 1)
    ends[2]!()
    await until(async () => await subscribers(ada) === 0)
    t.equal(await subscribers(bob), 1)
  })

  await t.test('what is no signal, or one of a newer version, is passed over', async t => {
    heard.length = 0
    await world.redis.spublish(a.peopleKeys.signals(bob), 'no JSON\n{"type":"newer"}\nnull\n{"type":"room","room_id":"r","seq":1}')
    await until(() => heard.length > 0)
    t.same(heard, [['bob', { type: 'room', room_id: 'r', seq: 1 }, bob]])
  })
})

t.test('ephemeral frames come over the channel of the bell, and are no bells', async t => {
  const server = await testRedis(t)
  const world = await logWorld(t, server.url)
  const { publisher, subscriptions } = node(t, world)
  const { log, keys, redis } = world
  const tail = createTail({ ...world, readArchive: async () => [], subscriptions, compareMs: 60_000, logger })
  t.teardown(async () => { await tail.close() })
  const room = await newRoom(log)
  const heard: Ephemeral[] = []
  const seqs: number[] = []
  await tail.follow(room, { onEvents: events => { seqs.push(...events.map(({ seq }) => seq)) }, onReset: () => {}, onEphemeral: ephemerals => { heard.push(...ephemerals) } })
  await until(async () => Number((await redis.call('PUBSUB', 'SHARDNUMSUB', keys.bell(room)) as string[])[1]) === 1)
  publisher.toRoom(room, { type: 'typing', text: 'x\n~y' }, ['c1', 'u1'])
  publisher.toRoom(room, { type: 'typing', n: 2 })
  await until(() => heard.length === 2)
  t.same(heard.map(({ frame, except }) => [JSON.parse(frame), except]), [[{ type: 'typing', text: 'x\n~y' }, ['c1', 'u1']], [{ type: 'typing', n: 2 }, []]])
  await log.append(room, [unit('hello')])
  await until(() => seqs.length === 1)
  t.same(seqs, [2])
  t.equal((await log.read(room, 0, 10)).length, 2, 'nothing of it is in the log')
  t.same(parseEphemeral('~\n~x\n7 chain'), [], 'what is none is passed over')
})

t.test('what exceeds a turn\'s bound, or comes while Redis is away, is dropped and counted', async t => {
  const server = await testRedis(t)
  const world = await logWorld(t, server.url)
  const { publisher } = node(t, world)
  const dropped = async (reason: string): Promise<number> => (await world.metrics.ephemeralDropped.get()).values.find(({ labels }) => labels.reason === reason)?.value ?? 0
  for (let i = 0; i < 10_005; i++) publisher.toUser('u', { type: 'room', room_id: 'r', seq: i })
  t.equal(await dropped('too many'), 5)
  await until(async () => (await world.metrics.ephemeralPublished.get()).values[0]!.value === 10_000)
  await server.kill()
  await until(() => world.redis.status !== 'ready')
  publisher.toUser('u', { type: 'room', room_id: 'r', seq: 1 })
  await until(async () => await dropped('no Redis') === 1)
})

t.test('a user who is here and idle costs little', async t => {
  const server = await testRedis(t)
  const world = await logWorld(t, server.url)
  const { signals } = node(t, world)
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const users = Array.from({ length: 20_000 }, () => uuidv7())
  const settle = async (): Promise<number> => {
    await new Promise(resolve => setTimeout(resolve, 1500))
    gc()
    gc()
    return process.memoryUsage().heapUsed
  }
  const people = createPeople({ signals, subscriptions: { has: () => false, add () {} }, onChange () {}, metrics: world.metrics })
  const sockets = users.map(userId => ({ id: userId, userId, status: 'online' as const, outbox: undefined as never }))
  const before = await settle()
  for (const socket of sockets) people.enter(socket)
  const each = (await settle() - before) / users.length
  t.comment(`${Math.round(each)} bytes of heap for each`)
  t.ok(each < IDLE_BYTES_MAX)
  for (const socket of sockets) people.leave(socket)
  t.same([...people.here()], [])
})
