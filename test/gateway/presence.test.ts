// The keeping of presence by several nodes over a real Redis: storms, a store that does not answer, a Redis that is away, a stop.
import t from 'tap'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { GRACE_MS, startPresence, type PresenceOptions } from '../../src/gateway/presence.ts'
import { createPeopleKeys } from '../../src/log/people-keys.ts'
import { createPresenceLeases, type Status } from '../../src/log/presence.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { testRedis } from '../dev/servers.ts'
import { until } from '../until.ts'
import { logger, logWorld } from '../log/world.ts'

type World = Awaited<ReturnType<typeof logWorld>>
const LEASE_MS = 1000

/** A node whose people the test plays; every user is listed by one other, `fan of <user>`. */
function node (t: { teardown: (fn: () => unknown) => unknown }, { redis, keys }: World, more: Partial<PresenceOptions> = {}) {
  const people = new Map<string, Status>()
  const told: Array<[user: string, status: string]> = []
  const asked: number[] = []
  const seen = new Map<string, Date>()
  const metrics = createMetrics('test')
  const leases = createPresenceLeases({ redis, keys, peopleKeys: createPeopleKeys(keys), node: randomUUID(), leaseMs: LEASE_MS, graceMs: GRACE_MS })
  const presence = startPresence({
    leases,
    publisher: { toRoom () {}, toUser: (_user, signal) => { const { user_id, status } = (signal as unknown as { frame: { user_id: string, status: string } }).frame; told.push([user_id, status]) } },
    statusOf: user => people.get(user),
    here: () => people.keys(),
    roomsOf: () => [],
    audiencesOf: async users => {
      asked.push(users.length)
      return users.map(user_id => ({ user_id, contacts: [`fan of ${user_id}`], blocked: [], rooms: [] }))
    },
    noteLastSeen: async entries => { for (const [user, at] of entries) seen.set(user, at) },
    leaseMs: LEASE_MS,
    roomMax: 10,
    clock: Date.now,
    metrics,
    logger,
    ...more,
  })
  t.teardown(async () => { await presence.stop() })
  const set = (user: string, status: Status | undefined): void => {
    if (status === undefined) people.delete(user)
    else people.set(user, status)
    presence.changed(user)
  }
  /** What was told of these; sweeps find those of other tests too. */
  const toldOf = (...users: string[]): Array<[user: string, status: string]> => told.filter(([user]) => users.includes(user))
  return { presence, leases, set, told, toldOf, asked, seen, metrics, statusOf: async (user: string) => (await leases.of([user])).get(user)!.status }
}

t.test('keeping presence', async t => {
  const server = await testRedis(t)
  const world = await logWorld(t, server.url)

  await t.test('a storm of connections is few questions, and what exceeds the bound is dropped', async t => {
    const a = node(t, world)
    const users = Array.from({ length: 10_000 }, () => randomUUID())
    for (const user of users) a.set(user, 'online')
    await until(async () => [...(await a.leases.of(users)).values()].every(({ status }) => status === 'online'), { everyMs: 100 })
    const dropped = async (): Promise<number> => (await a.metrics.ephemeralDropped.get()).values[0]?.value ?? 0
    await until(async () => a.told.length + await dropped() === users.length)
    t.ok(a.asked.length <= 100, `${a.asked.length} questions for ${a.told.length} announcements`)
    t.equal(new Set(a.told.map(([user]) => user)).size, a.told.length, 'nobody twice')
    for (const user of users) a.set(user, undefined)
    await until(async () => [...(await a.leases.of(users)).values()].every(({ status }) => status === 'offline'), { everyMs: 100 })
  })

  await t.test('leases are renewed while the store does not answer', async t => {
    const user = randomUUID()
    const a = node(t, world, { audiencesOf: async () => await new Promise(() => {}), noteLastSeen: async () => await new Promise(() => {}) })
    a.set(user, 'away')
    await until(async () => await a.statusOf(user) === 'away')
    await sleep(3 * LEASE_MS)
    t.equal(await a.statusOf(user), 'away')
  })

  await t.test('when people were last seen is noted once the store answers again', async t => {
    const user = randomUUID()
    let fails = true
    const noted: string[] = []
    const a = node(t, world, { noteLastSeen: async entries => { if (fails) throw new Error('away'); noted.push(...entries.map(([user]) => user)) } })
    a.set(user, 'online')
    await until(() => a.toldOf(user).length > 0)
    fails = false
    await until(() => noted.includes(user))
  })

  await t.test('who stops leaves leases behind: nobody who comes back elsewhere in time was gone', async t => {
    const [a, b] = [node(t, world), node(t, world)]
    const [back, gone] = [randomUUID(), randomUUID()]
    for (const user of [back, gone]) a.set(user, 'online')
    await until(() => a.toldOf(back, gone).length + b.toldOf(back, gone).length === 2)
    b.told.length = 0
    await a.presence.stop()
    a.set(back, undefined)
    b.set(back, 'online')
    await until(() => b.toldOf(back, gone).length > 0)
    await sleep(LEASE_MS)
    t.same(b.toldOf(back, gone), [[gone, 'offline']])
    t.ok(b.seen.has(gone))
    await b.presence.stop()
  })

  await t.test('after a Redis that was away longer than a lease, and has forgotten it all, people are as they were', async t => {
    const a = node(t, world)
    const user = randomUUID()
    a.set(user, 'dnd')
    await until(() => a.toldOf(user).length === 1)
    await server.kill()
    await sleep(1.5 * LEASE_MS)
    await server.restart()
    await until(async () => await a.statusOf(user).catch(() => '') === 'dnd')
    t.notOk(a.toldOf(user).some(([, status]) => status === 'offline'))
  })
})
