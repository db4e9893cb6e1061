// Editing, deleting, reactions, threads and pins over HTTP, and what is wrong with them. Who may do what is in matrix.test.ts.
import t from 'tap'
import { history } from '../../projections/history.ts'
import { EMOJI_MAX } from '../../src/domain/decide.ts'
import { emojiOf } from '../../src/domain/emoji.ts'
import { testStack } from './stack.ts'

const stack = await testStack(t)
const { get, post, call, project } = stack
const other = await stack.gateway()

async function person (username: string) {
  const { user, access_token } = (await post('/auth/guest', { username })).body
  return { id: user.id as string, token: access_token as string }
}
type Person = Awaited<ReturnType<typeof person>>

const [ann, bob] = [await person('ann'), await person('bob')]
const room = async (more = {}): Promise<string> => (await post('/rooms', { name: 'a room', kind: 'group', members: [bob.id], ...more }, ann.token)).body.id
const say = async (id: string, body: object = {}, who: Person = ann) => await post(`/rooms/${id}/messages`, { content: 'words', ...body }, who.token)
const said = async (id: string, body: object = {}, who: Person = ann): Promise<number> => (await say(id, body, who)).body.seq
const edit = async (id: string, seq: number | string, content: unknown, headers?: Record<string, string>) => await call('PATCH', `/rooms/${id}/messages/${seq}`, { token: ann.token, body: { content }, headers })
const remove = async (id: string, seq: number | string, who: Person = ann) => await call('DELETE', `/rooms/${id}/messages/${seq}`, { token: who.token })
const react = async (id: string, seq: number, emoji: string, { method = 'PUT', who = ann } = {}) => await call(method, `/rooms/${id}/messages/${seq}/reactions/${encodeURIComponent(emoji)}`, { token: who.token })
const pin = async (id: string, seq: number | string, method = 'PUT') => await call(method, `/rooms/${id}/pins/${seq}`, { token: ann.token })
const eventsOf = async (id: string): Promise<any[]> => (await get(`/rooms/${id}/events`, ann.token)).body.items
const headOf = async (id: string): Promise<number> => (await get(`/rooms/${id}`, ann.token)).body.head_seq

t.test('each command is answered with the place of its event, and is in the log', async t => {
  const id = await room()
  const seq = await said(id)
  for (const [answer, event] of [
    [await edit(id, seq, 'other words'), { type: 'edit', message_seq: seq, content: 'other words' }],
    [await react(id, seq, '👍'), { type: 'reaction', message_seq: seq, emoji: '👍', added: true }],
    [await react(id, seq, '👍', { method: 'DELETE' }), { type: 'reaction', message_seq: seq, emoji: '👍', added: false }],
    [await pin(id, seq), { type: 'pin', message_seq: seq, added: true }],
    [await pin(id, seq, 'DELETE'), { type: 'pin', message_seq: seq, added: false }],
    [await remove(id, seq), { type: 'delete', message_seq: seq }],
  ] as const) {
    t.match(answer, { status: 200, body: { room_id: id, changed: true, chain: /^[0-9a-f]{16}$/, event_id: String, duplicate: false, durability: String } })
    const { seq: at, chain, event_id } = answer.body
    t.ok((await eventsOf(id)).some(item => item.seq === at && item.chain === chain && item.event_id === event_id && item.type === event.type))
  }
})

t.test('a message has what it was sent with: a reply, a thread, attachments, mentions', async t => {
  const id = await room()
  const root = await said(id)
  const attachments = [{ url: 'https://example.org/a.png', name: 'a.png', media_type: 'image/png', bytes: 7 }]
  const { status, body } = await say(id, { content: '@bob look', reply_to: root, thread: root, attachments })
  t.match([status, body], [201, { type: 'message', room_id: id, content: '@bob look', reply_to: root, thread: root, attachments, mentions: [bob.id] }])
  t.match(await say(id, { thread: body.seq }), { status: 422, body: { code: 'bad_reply' } }, 'a thread in a thread')
  for (const bad of [[{ url: 'javascript:alert(1)' }], [{ url: 'https://x', bytes: -1 }], [{ name: 'x' }], Array.from({ length: 11 }, () => attachments[0])]) {
    t.match(await say(id, { attachments: bad }), { status: 400, body: { code: 'bad_request', field: /^attachments/ } }, JSON.stringify(bad).slice(0, 50))
  }
})

t.test('the same key edits once, on any gateway', async t => {
  const id = await room()
  const seq = await said(id)
  const headers = { 'idempotency-key': 'an edit' }
  const answers = await Promise.all([edit(id, seq, 'once', headers), other.call('PATCH', `/rooms/${id}/messages/${seq}`, { token: ann.token, body: { content: 'once' }, headers })])
  t.same(answers.map(({ body }) => body.seq), [seq + 1, seq + 1])
  t.equal(await headOf(id), seq + 1)
})

t.test('a reply, an edit, a reaction or a pin to what is no message of this room is refused', async t => {
  const [id, elsewhere] = [await room(), await room()]
  for (let i = 0; i < 3; i++) await said(elsewhere)
  const there = await said(elsewhere)
  const here = await said(id)
  t.ok(there > here)
  for (const seq of [there, 1, 2, 0, 9_007_199_254_740_991]) { // 1 is the room's making, 2 bob's coming in
    for (const body of [{ reply_to: seq }, { thread: seq }]) t.match(await say(id, body), { status: 422, body: { code: 'bad_reply' } }, JSON.stringify(body))
    for (const answer of [await edit(id, seq, 'x'), await remove(id, seq), await react(id, seq, '👍'), await react(id, seq, '👍', { method: 'DELETE' }), await pin(id, seq)]) {
      t.match(answer, { status: 404, body: { code: 'message_not_found' } }, `message ${seq}`)
    }
  }
  for (const seq of ['-1', '1.5', 'x', '9007199254740992', '%00']) {
    for (const answer of [await edit(id, seq, 'x'), await remove(id, seq), await pin(id, seq)]) t.match(answer, { status: 400, body: { code: 'bad_request', field: 'seq' } }, seq)
  }
  t.equal(await headOf(id), here)
})

t.test('of a deleted message nothing is left to do anything with, and its words are gone from the log', async t => {
  const id = await room()
  const seq = await said(id, { content: 'the secret word', attachments: [{ url: 'https://example.org/secret' }] })
  await edit(id, seq, 'the secret edit')
  t.match(await remove(id, seq), { status: 200, body: { changed: true } })
  const head = await headOf(id)
  t.same((await remove(id, seq)).body, { room_id: id, changed: false })
  for (const answer of [await edit(id, seq, 'x'), await react(id, seq, '👍'), await react(id, seq, '👍', { method: 'DELETE' }), await pin(id, seq)]) t.match(answer, { status: 410, body: { code: 'message_deleted' } })
  t.equal((await say(id, { reply_to: seq })).status, 201, 'what was said may be answered')
  t.equal(await headOf(id), head + 1)
  t.notMatch(JSON.stringify(await eventsOf(id)), 'secret')
  t.match((await eventsOf(id)).find(event => event.seq === seq), { type: 'message', content: '', deleted: true })
})

t.test('a delete wins over edits that race it', async t => {
  const id = await room()
  for (let round = 0; round < 10; round++) {
    const seq = await said(id, { content: 'the secret word' })
    await Promise.all([edit(id, seq, 'secret 1'), remove(id, seq), other.call('PATCH', `/rooms/${id}/messages/${seq}`, { token: ann.token, body: { content: 'secret 2' } })])
  }
  t.notMatch(JSON.stringify(await eventsOf(id)), 'secret')
})

t.test('any emoji is a reaction, however long; nothing else is', async t => {
  const id = await room()
  const seq = await said(id)
  for (const emoji of ['👍', '👍🏽', '❤️', '❤', '👩‍👩‍👧‍👦', '👩🏾‍❤️‍💋‍👨🏻', '🏴󠁧󠁢󠁥󠁮󠁧󠁿', '🇩🇪', '#️⃣', '🫠']) t.match(await react(id, seq, emoji), { status: 200, body: { changed: true } }, emoji)
  for (const none of ['a', '1', ':)', '👍👍', '👍 ', '\u200d', '+1', ':thumbsup:', '<b>', '../..', '%', '\u0000']) t.match(await react(id, seq, none), { status: 422, body: { code: 'bad_emoji', field: 'emoji' } }, JSON.stringify(none))
  t.match(await react(id, seq, 'x'.repeat(65)), { status: 400, body: { code: 'bad_request', field: 'emoji' } })
  t.match(await react(id, seq, '👍'.repeat(200)), { status: 404 })
  t.match(await call('PUT', `/rooms/${id}/messages/${seq}/reactions/%F0%9F%91`, { token: ann.token }), { status: 400, body: { code: 'bad_request' } })
})

/** As many different emoji as asked for. */
function * emojis (count: number): Generator<string> {
  for (let code = 0x1f300, n = 0; n < count && code < 0x1fb00; code++) {
    const emoji = String.fromCodePoint(code)
    if (emojiOf(emoji) !== emoji) continue
    yield emoji
    n += 1
  }
}

t.test('ten thousand reactions: a message bears a bounded number of different ones, and any number of the same', async t => {
  const id = await room()
  const seq = await said(id)
  const all = [...emojis(1000)]
  t.equal(all.length, 1000)
  for (const emoji of all.slice(0, EMOJI_MAX)) t.equal((await react(id, seq, emoji)).status, 200)
  await project(history, id)
  const head = await headOf(id)
  const codes = new Map<string, number>()
  for (let i = 0; i < 9900; i += 100) {
    const answers = await Promise.all(Array.from({ length: 100 }, async (_, n) => await react(id, seq, all[EMOJI_MAX + (i + n) % 900]!, { who: n % 2 === 0 ? ann : bob })))
    for (const { body } of answers) codes.set(body.code, (codes.get(body.code) ?? 0) + 1)
  }
  t.same([...codes], [['too_many_reactions', 9900]])
  t.equal(await headOf(id), head)
  t.equal((await react(id, seq, all[0]!, { who: bob })).status, 200, 'one that is there already')
  t.equal((await react(id, seq, all[1]!, { method: 'DELETE' })).status, 200)
  await project(history, id)
  t.equal((await react(id, seq, all[500]!)).status, 200, 'there is room again')
})

t.test('a room may want shorter messages, sent and edited', async t => {
  const id = await room({ message_chars_max: 5 })
  const seq = await said(id, { content: '😀😀😀😀😀' })
  t.match(await say(id, { content: 'sixsix' }), { status: 422, body: { code: 'content_too_long' } })
  t.match(await edit(id, seq, 'sixsix'), { status: 422, body: { code: 'content_too_long' } })
  t.match(await edit(id, seq, ''), { status: 400, body: { code: 'bad_request', field: 'content' } })
  t.match(await edit(id, seq, 'x'.repeat(8001)), { status: 400, body: { code: 'bad_request', field: 'content' } })
  t.match(await edit(id, seq, 'a\u0000'), { status: 400, body: { code: 'bad_request', field: 'content' } })
})
