// Lists of rooms: mine, and the directory.
import { randomUUID } from 'node:crypto'
import t from 'tap'
import { publicRooms, roomsOf } from '../../src/store/rooms.ts'
import { caughtUp, createWorld, history } from '../projections/feed.ts'

t.test('my rooms are those I am in and the lobby, each with its last message, in pages', async t => {
  const world = await createWorld(t)
  const [me, other] = [randomUUID(), randomUUID()]
  const lobby = await world.feed.room({ owner: other, kind: 'lobby', name: 'lobby' })
  const mine = await world.feed.room({ owner: me, name: 'mine', kind: 'private' })
  const joined = await world.feed.room({ owner: other, name: 'joined' })
  const left = await world.feed.room({ owner: other, name: 'left' })
  const inbox = await world.feed.room({ owner: me, kind: 'inbox', id: me })
  await world.feed.room({ owner: other, name: 'not mine' })
  for (const room of [joined, left]) await world.feed.join(room, me)
  await world.feed.leave(left, me)
  await world.feed.say(joined, 3, other, 'hi')
  const strict = await world.feed.room({ owner: other, name: 'strict', kind: 'private' })
  await world.feed.put(strict, other, [{ type: 'room', change: 'created', name: 'strict', kind: 'private', history: 'joined' }, { type: 'message', content: 'before you came' }])
  await world.feed.join(strict, me)
  world.project(history)
  await caughtUp(world, 'history_v1', [lobby, mine, joined, left, strict, inbox])

  const { items, next } = await roomsOf(world.store, me, { limit: 10 })
  t.equal(next, null)
  t.same(items.map(({ id }) => id), [lobby, mine, joined, strict].sort())
  const byId = new Map(items.map(item => [item.id, item]))
  t.match(byId.get(mine), { name: 'mine', kind: 'private', topic: '', role: 'owner', head_seq: 1, members: 1 })
  t.notOk(byId.get(mine)?.last_message)
  t.match(byId.get(joined), { role: 'member', head_seq: 5, members: 2, last_message: { seq: 5, user_id: other, content: 'hi 3', timestamp: /^2026-11-20T.*\.000Z$/ } })
  t.match(byId.get(lobby), { role: 'member', kind: 'lobby' })
  t.notOk(byId.get(strict)?.last_message, 'nothing from before I came in')

  const first = await roomsOf(world.store, me, { limit: 3 })
  const rest = await roomsOf(world.store, me, { limit: 3, after: first.next! })
  t.same([...first.items, ...rest.items], items)
  t.equal(rest.next, null)
})

t.test('the directory has what anyone may find, by a part of the name taken literally', async t => {
  const world = await createWorld(t)
  const names = ['general', 'Generally 100%', 'a_b', 'axb', 'back\\slash']
  const rooms = await Promise.all(names.map(async name => await world.feed.room({ name })))
  const hidden = await Promise.all((['private', 'group', 'dm', 'inbox'] as const).map(async kind => await world.feed.room({ kind, name: 'general' })))
  const shut = await world.feed.room({ kind: 'protected', name: 'general, but protected' })
  for (const room of [...rooms, shut]) await world.feed.say(room, 2)
  world.project(history)
  await caughtUp(world, 'history_v1', [...rooms, ...hidden, shut])

  const named = async (query?: string): Promise<string[]> => (await publicRooms(world.store, query, { limit: 50 })).items.map(({ name }) => name).sort()
  t.same(await named(), [...names, 'general, but protected'].sort())
  t.same(await named('GENERAL'), ['Generally 100%', 'general', 'general, but protected'].sort())
  t.same(await named('%'), ['Generally 100%'])
  t.same(await named('a_b'), ['a_b'])
  t.same(await named('k\\s'), ['back\\slash'])
  const { items } = await publicRooms(world.store, 'protected', { limit: 50 })
  t.same(items, [{ id: shut, name: 'general, but protected', kind: 'protected' }], 'of a protected room, name and kind')
  const page = await publicRooms(world.store, undefined, { limit: 4 })
  t.equal(page.items.length, 4)
  t.equal((await publicRooms(world.store, undefined, { limit: 4, after: page.next! })).items.length, 2)
  t.ok(page.items.every(({ kind, last_message }) => kind === 'protected' || last_message?.content === 'hello 2'))
})

t.test('lists have edits and tombstones of last messages, the other of a DM, and no room that was deleted or that one was put out of', async t => {
  const world = await createWorld(t)
  const [me, other] = [randomUUID(), randomUUID()]
  await world.store.query("INSERT INTO users (id, username, username_key, display_name, kind, created_at) VALUES ($1, 'Bea', 'bea', 'Bea B.', 'guest', now())", [other])
  const dm = randomUUID()
  await world.feed.put(dm, other, [{ type: 'room', change: 'created', name: '', kind: 'dm', history: 'all', members: [me, other] }], { create: true })
  await world.feed.put(dm, other, [{ type: 'message', content: 'helo' }, { type: 'edit', message_seq: 2, content: 'hello' }])
  const [kept, removed, kicked, banned] = [await world.feed.room({ name: 'kept' }), await world.feed.room({ name: 'removed' }), await world.feed.room({ name: 'kicked' }), await world.feed.room({ name: 'banned' })]
  for (const room of [kept, removed, kicked, banned]) await world.feed.join(room, me)
  await world.feed.put(kept, other, [{ type: 'message', content: 'gone' }, { type: 'delete', message_seq: 3 }, { type: 'room', change: 'updated', archived: true }])
  await world.feed.put(removed, other, [{ type: 'room', change: 'deleted' }])
  await world.feed.put(kicked, other, [{ type: 'kick', target: me }])
  await world.feed.put(banned, other, [{ type: 'ban', target: me }])
  world.project(history)
  await caughtUp(world, 'history_v1', [dm, kept, removed, kicked, banned])

  const { items } = await roomsOf(world.store, me, { limit: 10 })
  t.same(items.map(({ id }) => id), [dm, kept].sort())
  t.match(items.find(({ id }) => id === dm), { kind: 'dm', peers: [me, other], peer: { user_id: other, username: 'Bea', display_name: 'Bea B.' }, members: 2, last_message: { content: 'hello', edited_at: /Z$/ } })
  t.match(items.find(({ id }) => id === kept), { archived: true, last_message: { seq: 3, content: '', deleted: true, user_id: other } })
  t.same((await publicRooms(world.store, undefined, { limit: 10 })).items.map(({ name }) => name).sort(), ['banned', 'kept', 'kicked'])
})
