import t from 'tap'
import { randomUUID } from 'node:crypto'
import { dmIdOf } from '../../src/ids.ts'
import { createDirect } from '../../src/commands/direct.ts'
import type { FactSources } from '../../src/commands/facts.ts'
import type { Request } from '../../src/commands/request.ts'
import { decodeEvent } from '../../src/log/codec.ts'
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
})
