// Leases of presence over a real Redis: what several nodes say of a user, what is left when one of them dies, and that each change is
// taken by exactly one of them to be announced.
import t from 'tap'
import { randomUUID } from 'node:crypto'
import { createPeopleKeys } from '../../src/log/people-keys.ts'
import { createPresenceLeases, type PresenceWrite } from '../../src/log/presence.ts'
import { testRedis } from '../dev/servers.ts'
import { until } from '../until.ts'
import { logWorld } from './world.ts'

t.test('leases of presence', async t => {
  const server = await testRedis(t)
  const { redis, keys } = await logWorld(t, server.url)
  const peopleKeys = createPeopleKeys(keys)
  const node = (leaseMs = 60_000, graceMs = 60_000) => createPresenceLeases({ redis, keys, peopleKeys, node: randomUUID(), leaseMs, graceMs })
  const [a, b] = [node(), node()]
  const say = async (leases: typeof a, user_id: string, what: PresenceWrite['what'], more = {}): Promise<string> => {
    const [present] = await leases.write([{ user_id, what }], more)
    return `${present!.status}${present!.changed ? ' changed' : ''}`
  }
  const statusOf = async (user: string): Promise<string> => (await a.of([user])).get(user)!.status

  await t.test('somebody is the best of what their nodes say', async t => {
    const user = randomUUID()
    t.equal(await statusOf(user), 'offline')
    t.equal(await say(a, user, 'away'), 'away changed')
    t.equal(await say(b, user, 'dnd'), 'dnd changed')
    t.equal(await say(a, user, 'online'), 'online changed')
    t.equal(await say(a, user, 'gone'), 'dnd changed')
    t.equal(await say(b, user, 'gone'), 'offline', 'nothing was ever announced, so nothing has changed')
    t.equal(await redis.exists(peopleKeys.presence(user)), 0)
  })

  await t.test('a change is announced once, by whoever takes it', async t => {
    const user = randomUUID()
    await say(a, user, 'online')
    await say(b, user, 'online')
    const answers = await Promise.all([a, b, a, b].map(async leases => await say(leases, user, 'same', { say: true })))
    t.same(answers.sort(), ['online', 'online', 'online', 'online changed'])
    t.equal(await say(a, user, 'gone'), 'online')
    t.equal(await say(b, user, 'gone'), 'offline changed')
    t.equal(await say(b, user, 'online'), 'online', 'a reconnect is no change')
    t.equal(await say(b, user, 'gone'), 'offline changed')
    const before = (await a.of([user])).get(user)!.seen
    t.ok(Math.abs(before - Date.now()) < 5000, 'when they were last seen is known until it is announced')
    t.equal(await say(a, user, 'same', { say: true }), 'offline changed')
    t.equal(await say(b, user, 'same', { say: true }), 'offline')
    t.equal(await redis.exists(peopleKeys.presence(user)), 0)
  })

  await t.test('the lease of a dead node runs out, also under that of a living one', async t => {
    const dead = node(200)
    const [alone, both] = [randomUUID(), randomUUID()]
    await say(dead, alone, 'online', { say: true })
    await say(dead, both, 'online', { say: true })
    await say(b, both, 'away')
    t.same(await a.due(), [])
    await until(async () => (await a.due()).length === 2)
    t.same((await a.due()).sort(), [alone, both].sort())
    t.same([await statusOf(alone), await statusOf(both)], ['offline', 'away'])
    t.ok((await a.due()).includes(alone), 'asking does not put off what is due')
    t.equal(await say(a, alone, 'same', { say: true }), 'offline changed')
    t.equal(await say(a, both, 'same', { say: true }), 'away changed')
    await say(b, both, 'gone')
    await say(b, both, 'same', { say: true })
  })

  await t.test('a going that its node did not announce is found by others', async t => {
    const brief = node(60_000, 100)
    const user = randomUUID()
    await say(brief, user, 'online', { say: true })
    await say(brief, user, 'gone')
    t.same(await a.due(), [])
    t.same(await until(async () => { const found = await a.due(); return found.length > 0 && found }), [user])
    t.equal(await say(a, user, 'same', { say: true }), 'offline changed')
    t.same(await a.due(), [])
  })

  await t.test('many users are a few calls', async t => {
    const users = Array.from({ length: 5000 }, () => randomUUID())
    const calls = async (): Promise<number> => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0)
    const before = await calls()
    t.equal((await a.write(users.map(user_id => ({ user_id, what: 'online' })))).length, 5000)
    t.ok(await calls() - before < 50)
    t.same(new Set([...(await b.of(users)).values()].map(({ status }) => status)), new Set(['online']))
  })

  await t.test('rooms hear of somebody that are small and that they are in', async t => {
    const [user, friend, blocked] = [randomUUID(), randomUUID(), randomUUID()]
    const room = async (kind: string, members: number, records: Record<string, string>): Promise<string> => {
      const id = randomUUID()
      await redis.hset(keys.meta(id), { kind, members })
      if (Object.keys(records).length > 0) await redis.hset(keys.members(id), records)
      return id
    }
    const member = 'member|0|0|1'
    const small = await room('private', 2, { [user]: member, [friend]: member })
    const shared = await room('public', 3, { [user]: 'owner|0|0|1', [blocked]: member })
    const rooms = [small, shared, await room('private', 4, { [user]: member }), await room('lobby', 0, {}), await room('public', 1, { [user]: 'none|0|0|0' }), await room('public', 1, { [user]: 'kicked|0|0|0' }), await room('public', 1, {}), randomUUID()]
    const hearing = await a.hearing([{ user_id: user, rooms, others: [blocked] }, { user_id: friend, rooms: [small], others: [] }], 3)
    t.same(hearing.get(user), [{ room_id: small, others: [] }, { room_id: shared, others: [blocked] }])
    t.same(hearing.get(friend), [{ room_id: small, others: [] }])
  })

  await t.test('without Redis nobody knows', async t => {
    await server.kill()
    await t.rejects(a.of([randomUUID()]), { code: 'unavailable' })
    await t.rejects(a.due(), { code: 'unavailable' })
  })
})
