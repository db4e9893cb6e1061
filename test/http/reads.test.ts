// Reading a room's messages and members over HTTP: what there is, before the projections have it and after, and who sees it.
import t, { type Test } from 'tap'
import { archive } from '../../projections/archive.ts'
import { history } from '../../projections/history.ts'
import type { Command } from '../../src/domain/commands.ts'
import { testStack } from './stack.ts'

const stack = await testStack(t)
const { get, post, project, commands, redis, keys } = stack
interface Person { user: { id: string }, access_token: string }
const [ann, bob, cat, dan] = await Promise.all(['ann', 'bob', 'cat', 'dan'].map(async username => (await post('/auth/guest', { username })).body)) as [Person, Person, Person, Person]

async function act (person: Person, room_id: string, ...wishes: Array<Record<string, unknown>>): Promise<void> {
  const session = (JSON.parse(Buffer.from(person.access_token.split('.')[1]!, 'base64url').toString()) as { sid: string }).sid
  for (const wish of wishes) {
    const outcome = await commands.execute({ user_id: person.user.id, session, by: session, command: { room_id, ...wish } as unknown as Command })
    if (!outcome.ok) throw new Error(`${JSON.stringify(wish)}: ${outcome.rejection.code}`)
  }
}

let rooms = 0
async function room (kind = 'public', more: Record<string, unknown> = {}, ...members: Person[]): Promise<string> {
  const id = `019abc00-0000-7000-8000-0000000${String(++rooms).padStart(5, '0')}`
  await act(ann, id, { type: 'create', name: 'a room', kind, ...more })
  for (const person of members) await (kind === 'public' ? act(person, id, { type: 'join' }) : act(ann, id, { type: 'add', target: person.user.id }))
  return id
}

/** The same questions to a read model that has nothing, and to one that has all. */
async function twice (t: Test, id: string, check: (t: Test) => Promise<void>): Promise<void> {
  await t.test('before the projections have it', check)
  await project(history, id)
  await project(archive, id)
  await t.test('after', check)
}

t.test('a message has all that was done with it', async t => {
  const id = await room('public', {}, bob)
  await act(ann, id, { type: 'message', content: 'see https://x.y', attachments: [{ url: 'https://x.y/z.png', name: 'z.png', media_type: 'image/png', bytes: 9 }] }) // 3
  await act(bob, id, { type: 'message', content: 'hello @ann', reply_to: 3, thread: 3 }, { type: 'react', message_seq: 3, emoji: '👍' }) // 4, 5
  await act(ann, id, { type: 'react', message_seq: 3, emoji: '👍' }, { type: 'pin', message_seq: 4 }, { type: 'edit', message_seq: 3, content: 'see http://x.z' }) // 6, 7, 8
  await act(bob, id, { type: 'message', content: 'oops' }, { type: 'delete', message_seq: 9 }) // 9, 10
  await twice(t, id, async t => {
    const { body } = await get(`/rooms/${id}/messages`, cat.access_token)
    t.match(body.items, [
      { seq: 3, user_id: ann.user.id, content: 'see http://x.z', edited_at: /Z$/, reactions: [{ emoji: '👍', count: 2, user_ids: [bob.user.id, ann.user.id] }], mentions: [], attachments: [{ url: 'https://x.y/z.png', name: 'z.png', media_type: 'image/png', bytes: 9 }] },
      { seq: 4, content: 'hello @ann', reply_to: 3, thread: 3, mentions: [ann.user.id], reactions: [], pinned: true },
      { seq: 9, user_id: bob.user.id, content: '', deleted: true, reactions: [], mentions: [] },
    ])
    t.equal(body.items.length, 3)
    for (const item of body.items) t.same((await get(`/rooms/${id}/messages/${item.seq}`, cat.access_token)).body, item)
    const seqs = async (query: string): Promise<number[]> => (await get(`/rooms/${id}/messages?${query}`, cat.access_token)).body.items.map(({ seq }: { seq: number }) => seq)
    t.same(await seqs('has=attachment'), [3])
    t.same(await seqs('has=link'), [3])
    t.same(await seqs('has=mention'), [4])
    t.same(await seqs('has=reaction'), [3])
    t.same(await seqs('has=pin'), [4])
    t.same(await seqs(`from=${bob.user.id.toUpperCase()}`), [4, 9])
    t.same(await seqs(`from=${bob.user.id}&has=link`), [])
    for (const query of ['has=everything', 'from=bob', 'before=3&around=4']) t.match(await get(`/rooms/${id}/messages?${query}`, cat.access_token), { status: 400, body: { code: 'bad_request' } })
    for (const seq of [1, 5, 99, 0]) t.match(await get(`/rooms/${id}/messages/${seq}`, cat.access_token), { status: 404, body: { code: 'message_not_found' } })

    t.match((await get(`/rooms/${id}/pins`, cat.access_token)).body, { items: [{ seq: 4, content: 'hello @ann', pinned_by: ann.user.id, pinned_at: /Z$/ }], next: null, as_of: { seq: 10 } })
    t.match((await get(`/rooms/${id}/threads/3`, cat.access_token)).body, { root: { seq: 3 }, items: [{ seq: 4 }], next: null })
    t.match(await get(`/rooms/${id}/threads/5`, cat.access_token), { status: 404, body: { code: 'message_not_found' } })
  })
})

t.test('pins are listed with the newest first, in pages', async t => {
  const id = await room()
  for (let i = 0; i < 5; i++) await act(ann, id, { type: 'message', content: `m${i}` })
  await act(ann, id, ...[4, 2, 6, 3, 5].map(message_seq => ({ type: 'pin', message_seq })))
  await project(history, id)
  await act(ann, id, { type: 'unpin', message_seq: 2 }, { type: 'delete', message_seq: 6 }, { type: 'pin', message_seq: 2 }, { type: 'unpin', message_seq: 5 })
  await twice(t, id, async t => {
    const page = async (query: string) => (await get(`/rooms/${id}/pins?${query}`, bob.access_token)).body
    t.same((await page('')).items.map(({ seq }: { seq: number }) => seq), [2, 3, 4])
    const first = await page('limit=2')
    t.same((await page(`limit=2&before=${first.next}`)).items.map(({ seq }: { seq: number }) => seq), [4])
  })
})

t.test('what a message said before is shown to its author and to moderators, until it is deleted', async t => {
  const id = await room('public', {}, bob, cat)
  await act(bob, id, { type: 'message', content: 'one' }, { type: 'edit', message_seq: 4, content: 'two' }, { type: 'edit', message_seq: 4, content: 'three' })
  await twice(t, id, async t => {
    const edits = async (person: Person, query = '') => await get(`/rooms/${id}/messages/4/edits${query}`, person.access_token)
    const { body } = await edits(bob)
    t.match(body, { items: [{ seq: 5, content: 'one', timestamp: /Z$/, edited_at: /Z$/ }, { seq: 6, content: 'two', timestamp: body.items[0].edited_at }], next: null })
    t.same((await edits(ann)).body, body)
    t.equal((await edits(bob, '?limit=1')).body.next, 5)
    t.match((await edits(bob, '?limit=1&after=5')).body, { items: [{ seq: 6 }], next: null })
    for (const person of [cat, dan]) t.match(await edits(person), { status: 403, body: { code: 'forbidden' } })
    t.match(await get(`/rooms/${id}/messages/5/edits`, bob.access_token), { status: 404, body: { code: 'message_not_found' } })
  })
  await act(ann, id, { type: 'delete', message_seq: 4 })
  t.same((await get(`/rooms/${id}/messages/4/edits`, bob.access_token)).body.items, [])
  await project(history, id)
  t.same((await get(`/rooms/${id}/messages/4/edits`, bob.access_token)).body.items, [])
})

t.test('nothing of a deleted message is in the log as it is read, from the stream or from an archive that lags', async t => {
  const id = await room()
  await act(ann, id, { type: 'message', content: 'secret' }, { type: 'edit', message_seq: 2, content: 'secret still' }, { type: 'message', content: 'more' })
  await project(archive, id)
  await project(history, id)
  await act(ann, id, { type: 'delete', message_seq: 2 })
  const events = async () => (await get(`/rooms/${id}/events`, ann.access_token)).body
  const before = await events()
  t.match(before.items, [{}, { type: 'message', seq: 2, content: '', deleted: true }, { type: 'edit', seq: 3, content: '', deleted: true }, { content: 'more' }, { type: 'delete', message_seq: 2 }])
  await redis.xtrim(keys.log(id), 'MINID', '5-0')
  t.same(await events(), before)
  for (const path of ['messages', 'messages/2', 'messages/2/edits', 'threads/2', 'pins', 'events']) t.notMatch(JSON.stringify((await get(`/rooms/${id}/${path}`, ann.access_token)).body), 'secret', path)
})

t.test('members are listed with what was just done to them, and moderators see who is muted or banned', async t => {
  const id = await room('private', {}, bob, cat, dan)
  const until = new Date(Date.now() + 3_600_000).toISOString()
  await act(ann, id, { type: 'role', target: bob.user.id, role: 'moderator' }, { type: 'mute', target: cat.user.id, until }, { type: 'ban', target: dan.user.id })
  await twice(t, id, async t => {
    const list = async (person: Person, query = '') => (await get(`/rooms/${id}/members${query}`, person.access_token)).body
    const { items } = await list(ann)
    t.same(items.map(({ user_id, role }: { user_id: string, role: string }) => [user_id, role]), ([[ann, 'owner'], [bob, 'moderator'], [cat, 'member']] as const).map(([person, role]) => [person.user.id, role]).sort())
    const of = (person: Person, from = items) => from.find(({ user_id }: { user_id: string }) => user_id === person.user.id)
    t.match(of(cat), { username: 'cat', display_name: 'cat', avatar_url: null, joined_at: /Z$/, muted_until: until })
    t.notOk(of(cat, (await list(cat)).items).muted_until, 'members do not see it')
    t.same((await list(bob, '?role=owner')).items.map(({ user_id }: { user_id: string }) => user_id), [ann.user.id])
    t.match((await list(bob, '?role=banned')).items, [{ user_id: dan.user.id, role: 'none', banned_until: '9999-12-31T23:59:59.999Z' }])
    t.match(await get(`/rooms/${id}/members?role=banned`, cat.access_token), { status: 403, body: { code: 'forbidden' } })
    const first = await list(ann, '?limit=2')
    t.same([...first.items, ...(await list(ann, `?limit=2&after=${first.next}`)).items], items)
    t.match(await get(`/rooms/${id}/members`, dan.access_token), { status: 404, body: { code: 'room_not_found' } })
  })
})

t.test('everyone is in the list of the lobby', async t => {
  const { body } = await get('/rooms/lobby/members', dan.access_token)
  t.same(body.items.map(({ user_id }: { user_id: string }) => user_id), [ann, bob, cat, dan].map(({ user }) => user.id).sort())
  t.ok(body.items.every(({ role, joined_at }: { role: string, joined_at: string }) => role === 'member' && joined_at.endsWith('Z')))
})

t.test('moderators see who did what to whom, from where', async t => {
  const id = await room('public', {}, bob, cat)
  await act(cat, id, { type: 'message', content: 'spam' })
  await act(ann, id, { type: 'role', target: bob.user.id, role: 'moderator' })
  await act(bob, id, { type: 'delete', message_seq: 4 }, { type: 'pin', message_seq: await said(ann, id) }, { type: 'kick', target: cat.user.id, reason: 'spam' })
  await twice(t, id, async t => {
    const { body } = await get(`/rooms/${id}/audit`, bob.access_token)
    t.match(body, { next: null, as_of: { seq: 9 } })
    t.match(body.items, [
      { seq: 9, type: 'kick', user_id: bob.user.id, target: cat.user.id, reason: 'spam', session_id: String, timestamp: /Z$/, event_id: String },
      { seq: 8, type: 'pin', message_seq: 6, added: true },
      { seq: 7, type: 'delete', message_seq: 4, author: cat.user.id },
      { seq: 5, type: 'role', target: bob.user.id, role: 'moderator' },
      { seq: 3, type: 'join', user_id: cat.user.id },
      { seq: 2, type: 'join', user_id: bob.user.id },
      { seq: 1, type: 'room', change: 'created', name: 'a room', kind: 'public' },
    ])
    const first = (await get(`/rooms/${id}/audit?limit=4`, bob.access_token)).body
    t.same([...first.items, ...(await get(`/rooms/${id}/audit?limit=4&before=${first.next}`, bob.access_token)).body.items], body.items)
    t.match(await get(`/rooms/${id}/audit`, dan.access_token), { status: 403, body: { code: 'not_member' } })
    t.match(await get(`/rooms/${id}/audit`, cat.access_token), { status: 403 })
  })
  await act(dan, id, { type: 'join' })
  t.match(await get(`/rooms/${id}/audit`, dan.access_token), { status: 403, body: { code: 'forbidden' } })
})

async function said (person: Person, id: string): Promise<number> {
  await act(person, id, { type: 'message', content: 'hello' })
  return (await get(`/rooms/${id}`, person.access_token)).body.head_seq
}

t.test('the device is named where its session is known', async t => {
  const { body: eve } = await post('/auth/signup', { username: 'eve', password: 'correct horse battery', device_id: 'eve’s phone' })
  const id = '019abc00-0000-7000-8000-00000000eeee'
  await act(eve, id, { type: 'create', name: 'hers', kind: 'public' })
  t.match((await get(`/rooms/${id}/audit`, eve.access_token)).body.items, [{ seq: 1, device_id: 'eve’s phone' }])
})

t.test('who came in later sees nothing from before, by any way, in a room that hides it', async t => {
  const id = await room('private', { history: 'joined' })
  await act(ann, id, { type: 'message', content: 'before' }, { type: 'pin', message_seq: 2 }, { type: 'message', content: 'in a thread', thread: 2 }, { type: 'edit', message_seq: 2, content: 'before, edited' })
  await act(ann, id, { type: 'add', target: bob.user.id }, { type: 'role', target: bob.user.id, role: 'moderator' }, { type: 'message', content: 'after', thread: 2 })
  await twice(t, id, async t => {
    const read = async (path: string) => await get(`/rooms/${id}/${path}`, bob.access_token)
    t.same((await read('messages')).body.items.map(({ seq }: { seq: number }) => seq), [8])
    t.match(await read('messages/2'), { status: 404, body: { code: 'message_not_found' } })
    t.match(await read('messages/2/edits'), { status: 404, body: { code: 'message_not_found' } })
    t.same((await read('pins')).body.items, [])
    t.match((await read('threads/2')).body, { root: null, items: [{ seq: 8 }] })
    t.equal((await read('threads/2')).body.items.length, 1)
    t.match((await read('threads/1')).body, { root: null, items: [] }, 'what is hidden is not told from what never was')
    t.same((await read('audit')).body.items.map(({ seq }: { seq: number }) => seq), [7, 6])
  })
})

t.test('outsiders read the messages of a public room, not its members; of others they learn nothing', async t => {
  const [open, closed] = [await room(), await room('private')]
  for (const id of [open, closed]) await act(ann, id, { type: 'message', content: 'hello' })
  const paths = ['messages', 'messages/2', 'pins', 'threads/2', 'messages/2/edits', 'members', 'audit']
  const answers = async (id: string, person: Person): Promise<unknown[]> => await Promise.all(paths.map(async path => {
    const { status, body } = await get(`/rooms/${id}/${path}`, person.access_token)
    return body.code ?? status
  }))
  t.same(await answers(open, bob), [200, 200, 200, 200, 'forbidden', 'not_member', 'not_member'])
  t.same(await answers(closed, bob), paths.map(() => 'room_not_found'))
  t.same(await answers('019abc00-0000-7000-8000-00000000ffff', bob), paths.map(() => 'room_not_found'))
  t.same(await answers(closed, ann), paths.map(() => 200))
  await act(bob, open, { type: 'join' })
  await act(ann, open, { type: 'ban', target: bob.user.id })
  t.same(await answers(open, bob), paths.map(() => 'banned'))
})
