import t from 'tap'
import { randomUUID } from 'node:crypto'
import { dmIdOf } from '../../src/ids.ts'
import { createDirect } from '../../src/commands/direct.ts'
import type { FactSources } from '../../src/commands/facts.ts'
import type { Request } from '../../src/commands/request.ts'
import { decodeEvent } from '../../src/log/codec.ts'
import { LogFault } from '../../src/log/log.ts'
import { testRedis } from '../dev/servers.ts'
import { commandsOver, logWorld } from '../log/world.ts'

t.test('commands that need more than the room', async t => {
  const server = await testRedis(t)
  const world = await logWorld(t, server.url)
  const over = (sources: Partial<FactSources> = {}) => commandsOver(world, world.log, sources)
  const { run } = over()
  const make = async (kind: 'public' | 'private' | 'protected' | 'group', more: object = {}): Promise<string> => {
    const room_id = randomUUID()
    await run('ada', { type: 'create', room_id, name: 'room', kind, ...more })
    return room_id
  }
  const eventAt = async (room: string, seq: number) => decodeEvent((await world.log.at(room, [seq])).get(seq)!)

  await t.test('a reply names a message of the same room', async t => {
    const room = await make('public')
    await run('ada', { type: 'message', room_id: room, content: 'one' })
    t.match(await run('ada', { type: 'message', room_id: room, content: 'two', reply_to: 2 }), { ok: true, seq: 3 })
    for (const reply_to of [0, 1, 4, 100]) t.match(await run('ada', { type: 'message', room_id: room, content: 'x', reply_to }), { rejection: { code: 'bad_reply' } }, `${reply_to} is none`)
    t.match(await run('ada', { type: 'message', room_id: room, content: 'x', thread: 2 }), { ok: true })
    t.match(await run('ada', { type: 'message', room_id: room, content: 'x', thread: 4 }), { rejection: { code: 'bad_reply' } }, 'no thread within a thread')
  })

  await t.test('a message that has left the stream is known from the archive', async t => {
    const room = await make('public')
    await run('ada', { type: 'message', room_id: room, content: 'one' })
    const entries = await world.log.at(room, [2])
    await world.redis.xtrim(world.keys.log(room), 'MINID', '3-0')
    t.match(await run('ada', { type: 'edit', room_id: room, message_seq: 2, content: 'x' }), { rejection: { code: 'message_not_found' } })
    const withArchive = over({ archivedAt: async (_room, seqs) => seqs.flatMap(seq => entries.get(seq) ?? []) })
    t.match(await withArchive.run('ada', { type: 'edit', room_id: room, message_seq: 2, content: 'x' }), { ok: true, seq: 3 })
  })

  await t.test('names in the text become IDs of members, and stay text where they cannot be looked up', async t => {
    const room = await make('group', { members: ['bob'] })
    await run('ada', { type: 'message', room_id: room, content: 'hi @bob, hi @eve, hi @room' })
    t.match(await eventAt(room, 3), { content: 'hi @bob, hi @eve, hi @room', mentions: ['bob'], mentions_room: true })
    const down = over({ usersNamed: async () => { throw new Error('Postgres is away') } })
    t.match(await down.run('ada', { type: 'message', room_id: room, content: 'hi @bob' }), { ok: true })
    t.notOk('mentions' in await eventAt(room, 4))
  })

  await t.test('a protected room is joined with its password, a private one with an invite only', async t => {
    const closed = await make('protected')
    const join = (room_id: string, more: object): Request['command'] => ({ type: 'join', room_id, ...more })
    t.match(await run('bob', join(closed, {})), { rejection: { code: 'wrong_password' } })
    t.match(await run('bob', join(closed, { password: 'open barley' })), { rejection: { code: 'wrong_password' } })
    t.match(await run('bob', join(closed, { invite: 'made up' })), { rejection: { code: 'bad_invite' } })
    t.match(await run('bob', join(closed, { password: 'open sesame' })), { ok: true, changed: true })
    const secret = await make('private')
    for (const wrong of [{}, { password: 'open sesame' }, { invite: 'made up' }]) t.match(await run('bob', join(secret, wrong)), { rejection: { code: 'room_not_found' } })
    t.match(await over({ redeemInvite: async () => 'spent' }).run('bob', join(secret, { invite: 'old' })), { rejection: { code: 'bad_invite' } })
    t.match(await run('bob', join(secret, { invite: 'good' })), { ok: true, changed: true })
    t.match(await run('bob', join(secret, { invite: 'good' })), { ok: true, changed: false })
    await run('ada', { type: 'ban', room_id: secret, target: 'bob' })
    let redeemed = 0
    t.match(await over({ redeemInvite: async () => { redeemed += 1; return 'good' } }).run('bob', join(secret, { invite: 'good' })), { rejection: { code: 'room_not_found' } })
    t.equal(redeemed, 0, 'no use of an invite is spent on the banned')
  })

  await t.test('slow mode makes members wait, not moderators, and never for the same message twice', async t => {
    const room = await make('public', { slow_mode_s: 30 })
    const taken = new Map<string, number>()
    const slow = over({ slot: async (key, ms) => taken.has(key) ? ms : (taken.set(key, ms), 0) })
    await run('bob', { type: 'join', room_id: room })
    t.match(await slow.run('bob', { type: 'message', room_id: room, content: 'one' }, { client_id: 'm' }), { ok: true })
    t.match(await slow.run('bob', { type: 'message', room_id: room, content: 'two' }), { rejection: { code: 'slow_mode', retry_after_ms: 30_000 } })
    t.match(await slow.run('bob', { type: 'message', room_id: room, content: 'one' }, { client_id: 'm' }), { ok: true, duplicate: true })
    for (let i = 0; i < 3; i++) t.match(await slow.run('ada', { type: 'message', room_id: room, content: 'order!' }), { ok: true })
    t.same([...taken], [[`${room}:bob`, 30_000]])
  })

  await t.test('a direct conversation is one for the pair, made by the first message, in the order of writing', async t => {
    const world2 = over()
    const direct = createDirect({ commands: { execute: world2.execute } })
    const write = async (from: string, to: string, content: string, session = 's') => await direct.send({ user_id: from, session, command: { type: 'message', room_id: '', content } }, to)
    const outcomes = await Promise.all([write('cat', 'dan', 'one'), write('cat', 'dan', 'two'), write('dan', 'cat', 'back', 'other'), write('cat', 'dan', 'three')])
    const room = dmIdOf('dan', 'cat')
    t.ok(outcomes.every(outcome => outcome.ok && outcome.room_id === room))
    const events = (await world.log.read(room, 0, 10)).map(decodeEvent)
    t.match(events[0], { type: 'room', change: 'created', kind: 'dm', members: ['cat', 'dan'] })
    t.same(events.slice(1).filter(({ user_id }) => user_id === 'cat').map(event => 'content' in event && event.content), ['one', 'two', 'three'])
    t.same(world2.direct.length, 4, 'its people are told')
    t.match(await direct.open({ user_id: 'dan', session: 's' }, 'cat'), { ok: true, changed: false, room_id: room })
    t.match(await direct.send({ user_id: 'cat', session: 's', command: { type: 'message', room_id: '', content: 'to me' } }, 'cat'), { ok: true }, 'notes to oneself')
  })

  await t.test('who has blocked somebody is not written to, and strangers to Millrace cannot be', async t => {
    let blocked = false
    const picky = over({ blocked: async (_user, others) => blocked ? [...others] : [], existing: async ids => new Set(ids.filter(id => id !== 'nobody')) })
    const direct = createDirect({ commands: { execute: picky.execute } })
    const write = async (to: string) => await direct.send({ user_id: 'fay', session: 's', command: { type: 'message', room_id: '', content: 'hi' } }, to)
    t.match(await write('nobody'), { rejection: { code: 'user_not_found' } })
    t.match(await write('gus'), { ok: true })
    blocked = true
    t.match(await write('gus'), { rejection: { code: 'blocked' } }, 'in the conversation that is there')
    t.match(await write('hal'), { rejection: { code: 'blocked' } }, 'and in one that would be new')
    t.match(await picky.run('fay', { type: 'message', room_id: dmIdOf('fay', 'gus'), content: 'hi' }), { rejection: { code: 'blocked' } }, 'by its ID as well')
  })

  await t.test('a fault while facts are gathered is answered unavailable, in time', async t => {
    const room = await make('protected')
    const down = over({ passwordFits: async () => { throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }) } })
    t.match(await down.run('bob', { type: 'join', room_id: room, password: 'open sesame' }), { rejection: { code: 'unavailable' } })
  })

  await t.test('a session waits for its facts, and nobody else does; what it sent after them waits with it [G1]', async t => {
    const room = await make('public')
    await run('bob', { type: 'join', room_id: room })
    let release = (): void => {}
    const held = new Promise<void>(resolve => { release = resolve })
    const slow = over({ usersNamed: async () => { await held; return [] } })
    const named = slow.run('ada', { type: 'message', room_id: room, content: '@bob: first' })
    const after = slow.run('ada', { type: 'message', room_id: room, content: 'second' })
    t.match(await slow.run('bob', { type: 'message', room_id: room, content: 'meanwhile' }), { ok: true, seq: 3 })
    release()
    t.match(await named, { ok: true, seq: 4 })
    t.match(await after, { ok: true, seq: 5 })
  })

  await t.test('whoever may not anyway costs no lookup, and while Postgres is away nobody is kept from talking by others', async t => {
    const room = await make('public')
    let asked = 0
    const down = over({ archivedAt: async () => { asked += 1; throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }) } })
    t.match(await down.run('eve', { type: 'delete', room_id: room, message_seq: 9999 }), { rejection: { code: 'not_member' } })
    t.equal(asked, 0)
    const stuck = down.run('ada', { type: 'pin', room_id: room, message_seq: 9999 }, { session: 'one device' })
    const behind = down.run('ada', { type: 'message', room_id: room, content: 'behind it' }, { session: 'one device' })
    await run('bob', { type: 'join', room_id: room })
    t.match(await down.run('bob', { type: 'message', room_id: room, content: 'on we go' }), { ok: true })
    t.match(await stuck, { rejection: { code: 'unavailable' } })
    t.match(await behind, { rejection: { code: 'unavailable' } }, 'what was sent after it is not appended before it')
    t.notMatch(JSON.stringify(await world.log.read(room, 0, 100)), 'behind it')
  })

  await t.test('a room is made with nobody who has blocked its maker', async t => {
    const picky = over({ blocked: async (_user, others) => others.filter(id => id === 'dan') })
    t.match(await picky.run('ada', { type: 'create', room_id: randomUUID(), name: 'trap', kind: 'group', members: ['bob', 'dan'] }), { rejection: { code: 'blocked' } })
    t.match(await picky.run('ada', { type: 'create', room_id: randomUUID(), name: 'fine', kind: 'group', members: ['bob'] }), { ok: true })
  })

  await t.test('an answer that was lost is no "no": the command is found under the key of its own', async t => {
    const room = randomUUID()
    let lose = true
    const lossy = commandsOver(world, {
      ...world.log,
      async append (roomId, units) {
        const results = await world.log.append(roomId, units)
        if (!lose) return results
        lose = false
        throw new LogFault('unavailable', 'the answer was lost')
      },
    })
    t.match(await lossy.run('ada', { type: 'create', room_id: room, name: 'once', kind: 'public' }), { ok: true, changed: true, seq: 1 })
    t.equal((await world.log.read(room, 0, 10)).length, 1)
  })

  await t.test('after a duplicate, what follows it in the same turn is decided on the state that is', async t => {
    const room = await make('public')
    await run('bob', { type: 'join', room_id: room })
    await run('ada', { type: 'kick', room_id: room, target: 'bob' }, { client_id: 'k1' })
    await run('bob', { type: 'join', room_id: room })
    const [again, said] = await Promise.all([run('ada', { type: 'kick', room_id: room, target: 'bob' }, { client_id: 'k1' }), run('bob', { type: 'message', room_id: room, content: 'I am back' })])
    t.match(again, { ok: true, duplicate: true })
    t.match(said, { ok: true })
  })
})
