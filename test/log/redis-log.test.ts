import t from 'tap'
import fc from 'fast-check'
import keySlot from 'cluster-key-slot'
import { randomUUID } from 'node:crypto'
import { START } from '../../src/domain/position.ts'
import { chainOf } from '../../src/log/chain.ts'
import { createKeys } from '../../src/log/keys.ts'
import { LogFault, type Appended } from '../../src/log/log.ts'
import { testRedis } from '../dev/servers.ts'
import { until } from '../until.ts'
import { logWorld, newRoom, replidOf, unit } from './world.ts'

const place = (result: Appended | undefined): object => {
  if (result === undefined || !('seq' in result)) throw new Error(`not appended: ${JSON.stringify(result)}`)
  return pick(result)
}

t.test('on a server that checks slots, as a cluster does', async t => {
  const server = await testRedis(t, { args: ['--cluster-enabled', 'yes'] })
  const { Redis } = await import('ioredis')
  const admin = new Redis(server.url)
  t.teardown(() => { admin.disconnect() })
  await admin.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  await until(async () => /cluster_state:ok/.test(String(await admin.call('CLUSTER', 'INFO'))), { what: 'the cluster to be up' })
  const { log, redis, keys } = await logWorld(t, server.url)

  await t.test('seq is dense and every event chains onto the one before [G1]', async t => {
    const room = await newRoom(log)
    const results = await Promise.all(Array.from({ length: 50 }, async (_, i) => await log.append(room, [unit(`m${i}`), unit(`n${i}`)])))
    t.equal(results.flat().every(({ status }) => status === 'appended'), true)
    const events = await log.read(room, 0, 1000)
    t.equal(events.length, 101)
    let { seq, chain } = START
    for (const event of events) {
      t.equal(event.seq, ++seq)
      t.equal(event.chain, chain = chainOf(chain, event.event_id))
    }
    t.same(await log.heads([room]), { fenced: false, heads: new Map([[room, { seq, chain }]]) })
  })

  await t.test('a key that comes again gives the first result and appends nothing [G2]', async t => {
    const room = await newRoom(log)
    const first = unit('hello', { key: 'k' })
    const [a] = await log.append(room, [first])
    const [b, c] = await log.append(room, [first, unit('other words', { key: 'k' })])
    t.same(b, { ...a, status: 'duplicate' })
    t.same(c, { ...a, status: 'duplicate' })
    t.match(await log.once(room, 'ada', 'k'), place(a))
    t.equal(await log.once(room, 'bob', 'k'), undefined, 'keys are the author’s own')
    const [d] = await log.append(room, [unit('hello', { key: 'k', author: 'bob' })])
    t.equal(d!.status, 'appended')
    t.equal((await log.read(room, 0, 10)).length, 3)
  })

  await t.test('keys are forgotten after their time, not before', async t => {
    const room = await newRoom(log)
    await log.append(room, [unit('x', { key: 'short', onceMs: 600_000 })])
    const ttl = await redis.pttl(keys.once(room, 'ada', 'short'))
    t.ok(ttl > 590_000 && ttl <= 600_000)
  })

  await t.test('a precondition that fails writes nothing, and holds back what its session sent after it', async t => {
    const room = await newRoom(log)
    const patched = unit('a', { patches: [['set', 'meta', 'topic', 'new'], ['add', 'meta', 'rules', '2'], [0, 'members', 'bob', 'member|0|0|']] })
    t.match(await log.append(room, [patched]), [{ status: 'appended', seq: 2 }])
    const results = await log.append(room, [
      unit('b', { session: 'one', preconditions: [['meta', 'topic', 'new'], ['meta', 'rules', '1']], patches: [['set', 'meta', 'topic', 'never']] }),
      unit('c', { session: 'one' }),
      unit('d', { session: 'two', preconditions: [['meta', 'rules', '2'], ['members', 'bob', 'member|0|0|2'], ['members', 'eve', '']] }),
    ])
    t.match(results.map(({ status }) => status), ['precondition', 'held', 'appended'])
    const hashes = await log.room(room, ['bob', 'eve'])
    t.match([...hashes!.meta], new Map([...hashes!.meta, ['topic', 'new'], ['rules', '2']]))
    t.same([...hashes!.members], [['bob', 'member|0|0|2'], ['eve', '']])
    t.equal((await log.read(room, 2, 10)).length, 1)
  })

  await t.test('a room is made only by a call that says so, and only once', async t => {
    const room = randomUUID()
    t.same(await log.append(room, [unit('x')]), [{ status: 'missing' }])
    const [missing, made, next] = await log.append(room, [unit('x', { session: 'a' }), unit('make', { session: 'b', create: true }), unit('y', { session: 'b' })])
    t.same(missing, { status: 'missing' })
    t.same([made, next].map(place), (await log.read(room, 0, 10)).map(pick))
    t.same(await log.append(room, [unit('again', { create: true })]), [{ status: 'exists' }])
    t.equal(await log.room(randomUUID(), []), undefined)
  })

  await t.test('appends of one turn to many rooms of a partition travel in one call', async t => {
    const rooms: string[] = []
    while (rooms.length < 20) {
      const room = randomUUID()
      if (keys.partitionOf(room) === 3) rooms.push(room)
    }
    await Promise.all(rooms.map(async room => await log.append(room, [unit('first', { create: true })])))
    const calls = async (): Promise<number> => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.info('commandstats'))![1])
    const before = await calls()
    const results = await Promise.all(rooms.map(async room => await log.append(room, [unit('hi')])))
    t.equal(await calls() - before, 1)
    t.ok(results.every(([result]) => result!.status === 'appended'))
  })

  await t.test('any text comes out of the log as it went in', async t => {
    const room = await newRoom(log)
    await fc.assert(fc.asyncProperty(fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 200 }), { minLength: 1, maxLength: 5 }), async contents => {
      const { seq } = (await log.heads([room])).heads.get(room)!
      await log.append(room, contents.map(content => unit(content)))
      const read = await log.read(room, seq, 100)
      t.same(read.map(({ data }) => JSON.parse(data).content), contents)
    }), { numRuns: 50 })
  })

  await t.test('a key of another type makes the append fail, whole', async t => {
    const room = await newRoom(log)
    await redis.set(keys.members(room), 'not a hash')
    await t.rejects(log.append(room, [unit('x')]), LogFault)
    t.equal((await log.read(room, 0, 10)).length, 1)
    await redis.del(keys.members(room))
    t.match(await log.append(room, [unit('x')]), [{ status: 'appended', seq: 2 }])
  })

  await t.test('a log that is ahead of its meta takes nothing', async t => {
    const room = await newRoom(log)
    await redis.xadd(keys.log(room), '7-0', 'id', 'x', 'chain', 'y', 'v', '1', 'data', '{}')
    await t.rejects(log.append(room, [unit('x', { author: 'ada', key: 'k' })]), { name: 'LogFault', code: 'unavailable' })
    t.equal((await log.heads([room])).heads.get(room)!.seq, 1)
    t.equal(await log.once(room, 'ada', 'k'), undefined, 'and does not remember to have taken it')
  })

  await t.test('a precondition is held to what those before it in the call have changed', async t => {
    const room = await newRoom(log)
    const join = (user: string, count: string) => unit(user, { session: user, preconditions: [['meta', 'members', count], ['members', user, '']], patches: [['add', 'meta', 'members', '1'], [0, 'members', user, 'member|0|0|'], ['set', 'meta', 'topic', 'set by\nthe last  one ']] })
    const results = await log.append(room, [join('a', ''), join('b', '1'), join('a', '2'), join('c', '1'), join('d', '2')])
    t.same(results.map(({ status }) => status), ['appended', 'appended', 'precondition', 'precondition', 'appended'])
    const found = await log.room(room, ['a', 'b', 'c', 'd'])
    t.same([...found!.members.values()], ['member|0|0|2', 'member|0|0|3', '', 'member|0|0|4'])
    t.equal(found!.meta.get('members'), '3')
    t.equal(found!.meta.get('topic'), 'set by\nthe last  one ')
    t.match(await log.append(room, [join('e', '3')]), [{ status: 'appended' }], 'and the next call finds it written')
  })
})

t.test('who decides before a call waits while one is under way, and then shares the next', async t => {
  const server = await testRedis(t)
  const { log, redis } = await logWorld(t, server.url)
  const room = await newRoom(log)
  const calls = async (): Promise<number> => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.info('commandstats'))![1])
  const before = await calls()
  const order: string[] = []
  const first = log.append(room, [unit('first')]).then(() => { order.push('answered') })
  await new Promise(resolve => { process.nextTick(resolve) }) // it is sent
  const decided = Array.from({ length: 3 }, async (_, i) => await new Promise(resolve => {
    log.beforeCall(() => {
      order.push(`decided ${i}`)
      resolve(log.append(room, [unit(`m${i}`)]))
    })
  }))
  await Promise.all([first, ...decided])
  t.same(order, ['answered', 'decided 0', 'decided 1', 'decided 2'])
  t.equal(await calls() - before, 2)
})

t.test('while a partition is fenced nothing is appended and nothing is said of its rooms [G8]', async t => {
  const server = await testRedis(t)
  const { log, redis, keys } = await logWorld(t, server.url)
  const room = await newRoom(log)
  await redis.set(keys.epoch(keys.partitionOf(room)), 'another server')
  await t.rejects(log.append(room, [unit('x')]), { name: 'LogFault', code: 'fenced' })
  await t.rejects(log.room(room, []), { code: 'fenced' })
  t.equal((await log.heads([room])).fenced, true)
  await redis.set(keys.epoch(keys.partitionOf(room)), await replidOf(redis))
  t.match(await log.append(room, [unit('x')]), [{ status: 'appended', seq: 2 }])
})

t.test('a restarted Redis is fenced until somebody has looked at it', async t => {
  const server = await testRedis(t, { args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  const { log, redis } = await logWorld(t, server.url)
  t.equal(await until(() => log.durability() !== 'memory' && log.durability()), 'fsync')
  const room = await newRoom(log)
  await server.kill()
  await t.rejects(log.append(room, [unit('x')]), { code: 'unavailable' })
  await server.restart()
  await until(() => redis.status === 'ready')
  await t.rejects(log.append(room, [unit('x')]), { code: 'fenced' })
})

t.test('without AOF an ack is worth memory; with everysec no more than that [G3]', async t => {
  const server = await testRedis(t)
  const { log, redis } = await logWorld(t, server.url)
  t.equal(log.durability(), 'memory')
  await redis.config('SET', 'appendonly', 'yes')
  t.equal(log.durability(), 'memory')
})

t.test('a full Redis refuses appends as overloaded, and loses nothing', async t => {
  const server = await testRedis(t, { args: ['--maxmemory-policy', 'noeviction'] })
  const { log, redis } = await logWorld(t, server.url)
  const room = await newRoom(log)
  await redis.config('SET', 'maxmemory', '100kb')
  await t.rejects(log.append(room, [unit('x')]), { code: 'overloaded' })
  await redis.config('SET', 'maxmemory', '0')
  t.match(await log.append(room, [unit('x')]), [{ status: 'appended', seq: 2 }])
})

t.test('partitions spread evenly over the slots, and all keys of a room share one', async t => {
  for (const partitions of [1, 7, 128, 1024]) {
    const keys = createKeys(partitions)
    const size = 16384 / partitions
    for (let p = 0; p < partitions; p++) {
      const slot = keySlot(keys.epoch(p))
      t.ok(slot >= Math.floor(p * size) && slot < Math.floor((p + 1) * size), `partition ${p} of ${partitions}`)
    }
    const room = randomUUID()
    const all = [keys.log(room), keys.meta(room), keys.members(room), keys.once(room, 'a', 'b'), keys.bell(room), keys.active(keys.partitionOf(room))]
    t.equal(new Set(all.map(key => keySlot(key))).size, 1)
  }
})

function pick ({ seq, chain, event_id }: { seq: number, chain: string, event_id: string }): object {
  return { seq, chain, event_id }
}
