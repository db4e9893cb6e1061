import t from 'tap'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RoomLog } from '../../src/log/log.ts'
import { testRedis } from '../dev/servers.ts'
import { until } from '../until.ts'
import { commandsOver, logWorld, newRoom, unit } from './../log/world.ts'

const say = (room_id: string, content: string) => ({ type: 'message' as const, room_id, content })
const create = (room_id: string) => ({ type: 'create' as const, room_id, name: 'room', kind: 'public' as const })

t.test('commands over a real log', async t => {
  const server = await testRedis(t)
  const world = await logWorld(t, server.url)
  const { log, redis, keys } = world
  const { run, noted, drained } = commandsOver(world)
  const other = commandsOver(world) // another gateway

  await t.test('a command is decided, appended and answered with its place', async t => {
    const room = randomUUID()
    t.match(await run('ada', create(room)), { ok: true, changed: true, room_id: room, seq: 1, duplicate: false, durability: 'memory' })
    t.match(await run('ada', say(room, 'hi')), { ok: true, seq: 2 })
    t.match(await run('bob', say(room, 'hi')), { ok: false, rejection: { code: 'not_member' } })
    t.match(await run('bob', { type: 'join', room_id: room }), { ok: true, seq: 3 })
    t.same(await run('bob', { type: 'join', room_id: room }), { ok: true, changed: false, room_id: room })
    t.match(await run('bob', say(randomUUID(), 'hi')), { ok: false, rejection: { code: 'room_not_found' } })
    t.same(noted.filter(([, at]) => at === room), [['ada', room, 1], ['bob', room, 3]], 'memberships are noted')
  })

  await t.test('commands of one turn see each other, in their order [G1]', async t => {
    const room = randomUUID()
    const results = await Promise.all([
      run('ada', say(room, 'too early')), run('ada', create(room)), run('ada', say(room, 'one')),
      run('bob', { type: 'join', room_id: room }), run('bob', say(room, 'two')), run('bob', { type: 'leave', room_id: room }), run('bob', say(room, 'too late')),
    ])
    t.match(results, [{ rejection: { code: 'room_not_found' } }, { seq: 1 }, { seq: 2 }, { seq: 3 }, { seq: 4 }, { seq: 5 }, { rejection: { code: 'not_member' } }])
  })

  await t.test('a command sent again gets its first result, whatever has become of the sender since [G2]', async t => {
    const room = randomUUID()
    await run('ada', create(room), { client_id: 'make' })
    await run('bob', { type: 'join', room_id: room }, { client_id: 'in' })
    const first = await run('bob', say(room, 'hi'), { client_id: 'm' })
    t.same(await run('bob', say(room, 'hi'), { client_id: 'm' }), { ...first, duplicate: true })
    t.same(await other.run('bob', say(room, 'hi'), { client_id: 'm' }), { ...first, duplicate: true }, 'on another gateway')
    await run('bob', { type: 'leave', room_id: room })
    t.same(await run('bob', say(room, 'hi'), { client_id: 'm' }), { ...first, duplicate: true }, 'though bob may not write any more')
    t.match(await run('bob', { type: 'join', room_id: room }, { client_id: 'in' }), { seq: 2, duplicate: true })
    t.match(await run('ada', create(room), { client_id: 'make' }), { seq: 1, duplicate: true })
    t.match(await run('bob', say(room, 'hi'), { client_id: 'another' }), { rejection: { code: 'not_member' } })
    t.equal((await log.read(room, 0, 100)).length, 4)
  })

  await t.test('a command marked resend is looked for in the log, though its key is forgotten [G2]', async t => {
    const room = randomUUID()
    await run('ada', create(room))
    const first = await run('ada', say(room, 'hi'), { client_id: 'old' })
    await redis.del(keys.once(room, 'ada', 'old'))
    const again = await Promise.all([run('ada', say(room, 'hi'), { client_id: 'old', resend: true }), run('ada', say(room, 'new'), { client_id: 'new', resend: true })])
    t.match(again, [{ ...first, duplicate: true }, { seq: 3, duplicate: false }])
    t.match(await run('ada', say(room, 'hi'), { client_id: 'old' }), { seq: 4, duplicate: false }, 'unmarked, after 10 minutes, it is a new one')
  })

  await t.test('a decision on old state is never appended: the room is loaded again', async t => {
    const room = randomUUID()
    await run('ada', create(room))
    await run('bob', { type: 'join', room_id: room })
    await run('bob', say(room, 'cached here'))
    await other.run('bob', { type: 'leave', room_id: room })
    t.match(await run('bob', say(room, 'not any more')), { rejection: { code: 'not_member' } })
    await other.run('bob', { type: 'join', room_id: room })
    t.match(await run('bob', say(room, 'again')), { ok: true }, 'nor is a "no" given on old state')
    await redis.hincrby(keys.meta(room), 'rules', 1)
    t.match(await run('bob', say(room, 'with other rules')), { ok: true })
  })

  await t.test('two gateways that write as fast as they can keep every session in its order [G1]', async t => {
    const room = randomUUID()
    await run('ada', create(room))
    for (const user of ['bob', 'cyd']) await run(user, { type: 'join', room_id: room })
    const writers = [[run, 'ada'], [other.run, 'bob'], [run, 'cyd'], [other.run, 'cyd']] as const
    const flapping = (async () => { for (let i = 0; i < 30; i++) { await other.run('dan', { type: 'join', room_id: room }); await redis.hincrby(keys.meta(room), 'rules', 1); await sleep(3) } })()
    await Promise.all([flapping, ...writers.map(async ([go, user], w) => await Promise.all(Array.from({ length: 200 }, async (_, i) => await go(user, say(room, `${w}:${i}`), { session: `s${w}` }))))])
    const said = (await log.read(room, 0, 10_000)).map(({ data }) => JSON.parse(data).content as string | undefined).filter(content => content !== undefined)
    t.equal(said.length, 800)
    for (let w = 0; w < 4; w++) t.same(said.filter(content => content.startsWith(`${w}:`)).map(content => Number(content.split(':')[1])), Array.from({ length: 200 }, (_, i) => i))
  })

  await t.test('too many waiting commands are refused as overloaded', async t => {
    const room = randomUUID()
    await run('ada', create(room))
    const results = await Promise.all(Array.from({ length: 1100 }, async () => await run('ada', say(room, 'x'))))
    t.equal(results.filter(result => !result.ok && result.rejection.code === 'overloaded').length, 100)
    t.equal(results.filter(({ ok }) => ok).length, 1000)
  })

  await t.test('a reply that was lost is asked for again with the same key, and nothing is doubled [G2]', async t => {
    const room = randomUUID()
    let lost = 0
    const lossy: RoomLog = {
      ...log,
      append: async (id, units) => {
        const results = await log.append(id, units)
        if (lost++ % 2 === 0) throw new (await import('../../src/log/log.ts')).LogFault('unavailable', 'the reply was lost')
        return results
      },
    }
    const { run } = commandsOver(world, lossy)
    await run('ada', create(room))
    const results = await Promise.all(Array.from({ length: 20 }, async (_, i) => await run('ada', say(room, `m${i}`))))
    t.ok(results.every(({ ok }) => ok))
    t.same((await log.read(room, 1, 100)).map(({ data }) => JSON.parse(data).content), Array.from({ length: 20 }, (_, i) => `m${i}`))
  })

  await t.test('what is tried again is the same event, to the letter, or another event by its ID [G8]', async t => {
    // It was the same ID with another timestamp: where the first try was heard and then lost, chains were equal and events were not.
    const room = randomUUID()
    await run('ada', { type: 'create', room_id: room, name: 'room', kind: 'group', members: ['bob'] })
    const tried: Array<{ event_id: string, data: string }> = []
    let named = ['bob']
    const failing: RoomLog = {
      ...log,
      append: async (id, units) => {
        tried.push(...units.flatMap(({ events }) => events))
        await sleep(5) // the clock moves
        if (tried.length === 1) throw new (await import('../../src/log/log.ts')).LogFault('unavailable', 'the reply was lost')
        if (tried.length > 2) return await log.append(id, units)
        named = [] // bob has another name now
        return [{ status: 'precondition' }]
      },
    }
    const { run: again } = commandsOver(world, failing, { usersNamed: async () => named })
    t.match(await again('ada', say(room, 'hi @bob')), { ok: true, seq: 3 })
    t.same(tried[1], tried[0])
    t.notOk('mentions' in JSON.parse(tried[2]!.data))
    t.not(tried[2]!.event_id, tried[0]!.event_id)
    t.match((await log.read(room, 2, 1))[0], { event_id: tried[2]!.event_id })
  })

  await drained()
})

t.test('while Redis is away commands wait, then answer unavailable; a short absence is not noticed', async t => {
  const server = await testRedis(t, { args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  const world = await logWorld(t, server.url)
  const { run } = commandsOver(world)
  const room = await newRoom(world.log)
  await world.log.append(room, [unit('join', { patches: [['set', 'meta', 'kind', 'lobby'], ['set', 'meta', 'rules', '1']] })])
  t.match(await run('ada', say(room, 'before')), { ok: true })
  server.freeze()
  const waiting = run('ada', say(room, 'while frozen'), { client_id: 'k' })
  setTimeout(() => { server.thaw() }, 2000)
  t.match(await waiting, { ok: true })
  t.match(await run('ada', say(room, 'while frozen'), { client_id: 'k' }), { ok: true, duplicate: true })

  await server.kill()
  const results = await Promise.all([run('ada', say(room, 'a')), run('ada', say(room, 'b'))])
  t.match(results, [{ rejection: { code: 'unavailable', retry_after_ms: Number } }, { rejection: { code: 'unavailable' } }])
  await server.restart()
  await until(() => world.redis.status === 'ready')
})
