import t from 'tap'
import { archive } from '../../projections/archive.ts'
import { history } from '../../projections/history.ts'
import { testStack } from './stack.ts'

const stack = await testStack(t)
const { get, post, project, redis, keys } = stack
const other = await stack.gateway()
const ann = (await post('/auth/guest', { username: 'ann' })).body
const bob = (await post('/auth/guest', { username: 'bob' })).body

const room = async (more = {}): Promise<string> => (await post('/rooms', { name: 'a room', kind: 'public', ...more }, ann.access_token)).body.id
const say = async (id: string, content: string, key?: string, more: Record<string, string> = {}, token = ann.access_token) => await post(`/rooms/${id}/messages`, { content }, token, { ...(key !== undefined && { 'idempotency-key': key }), ...more })
const contents = (body: { items: Array<{ content: string }> }): string[] => body.items.map(({ content }) => content)

t.test('a message that is sent is answered with its event', async t => {
  const id = await room()
  const first = await say(id, 'héllo 😀', 'k1')
  t.equal(first.status, 201)
  t.equal(first.headers.get('content-type'), 'application/json; charset=utf-8')
  t.match(first.body, { type: 'message', room_id: id, seq: 2, chain: /^[0-9a-f]{16}$/, event_id: String, user_id: ann.user.id, timestamp: /Z$/, v: 1, client_id: 'k1', content: 'héllo 😀' })
  const reply = await post(`/rooms/${id}/messages`, { content: 'indeed', reply_to: 2 }, ann.access_token)
  t.match(reply.body, { seq: 3, reply_to: 2 })
  t.same((await get(`/rooms/${id}/events?after=1`, ann.access_token)).body.items, [first.body, reply.body])
})

t.test('the same key again gives the same event and appends nothing, on any gateway and at any age', async t => {
  const id = await room()
  const first = await say(id, 'once', 'key')
  const answers = await Promise.all([say(id, 'once', 'key'), other.post(`/rooms/${id}/messages`, { content: 'once' }, ann.access_token, { 'idempotency-key': 'key' })])
  for (const { status, body } of answers) t.same([status, body], [201, first.body])
  await post(`/rooms/${id}/join`, {}, bob.access_token)
  t.equal((await say(id, 'mine', 'key', {}, bob.access_token)).body.seq, 4, 'the key of somebody else is another')

  await project(archive, id)
  await redis.xtrim(keys.log(id), 'MINID', '4-0')
  for (const key of await redis.keys('*:once:*')) await redis.del(key) // ten minutes later
  t.same((await say(id, 'once', 'key', { 'idempotency-resend': 'true' })).body, first.body, 'from the archive')
  t.equal((await get(`/rooms/${id}`, ann.access_token)).body.head_seq, 4)
})

t.test('only members send, everyone in the lobby', async t => {
  const id = await room()
  t.match(await say(id, 'hello', undefined, {}, bob.access_token), { status: 403, body: { code: 'not_member' } })
  t.equal((await say('lobby', 'hello', undefined, {}, bob.access_token)).status, 201)
})

t.test('what was acked is on the next page, before the projection and after, on any gateway', async t => {
  const id = await room()
  for (let i = 1; i <= 5; i++) await say(id, `m${i}`)
  const page = async () => (await other.get(`/rooms/${id}/messages`, bob.access_token)).body
  const before = await page()
  t.same(contents(before), ['m1', 'm2', 'm3', 'm4', 'm5'])
  t.match(before.items[0], { seq: 2, event_id: String, user_id: ann.user.id, timestamp: /Z$/, reactions: [], mentions: [] })
  t.match(before, { next: null, as_of: { seq: 6, chain: /^[0-9a-f]{16}$/ } })
  await project(history, id)
  t.same(await page(), before)
  await say(id, 'm6', 'k6')
  const after = await page()
  t.same(contents(after).at(-1), 'm6')
  t.equal(after.items.at(-1).client_id, 'k6')
  t.equal(after.as_of.seq, 7)
})

// Only what the archive had was shown, or nothing where the stream was empty: newer messages were acked and on no page.
t.test('a page that history is behind on takes from the archive what is trimmed from the stream, and the rest from the stream', async t => {
  const id = await room()
  for (let i = 1; i <= 3; i++) await say(id, `m${i}`)
  await project(history, id)
  for (let i = 4; i <= 8; i++) await say(id, `m${i}`)
  await project(archive, id)
  await redis.xtrim(keys.log(id), 'MINID', '7-0')
  for (let i = 9; i <= 12; i++) await say(id, `m${i}`)
  const page = async (query = '') => (await get(`/rooms/${id}/messages${query}`, ann.access_token)).body
  const all = Array.from({ length: 12 }, (_, i) => `m${i + 1}`)
  t.same(contents(await page()), all)
  t.equal((await page()).as_of.seq, 13)
  t.same(contents(await page('?after=3&limit=4')), ['m3', 'm4', 'm5', 'm6'])
  await project(archive, id)
  await redis.xtrim(keys.log(id), 'MAXLEN', 0)
  t.same(contents(await page()), all, 'with nothing left in the stream')
  await say(id, 'm13')
  t.same(contents(await page()), [...all, 'm13'])
})

t.test('where neither stream nor archive has what follows, the page ends there and says so', async t => {
  const id = await room()
  for (let i = 1; i <= 3; i++) await say(id, `m${i}`)
  await project(history, id)
  for (let i = 4; i <= 6; i++) await say(id, `m${i}`)
  await redis.xtrim(keys.log(id), 'MINID', '6-0')
  const { body } = await get(`/rooms/${id}/messages`, ann.access_token)
  t.same([contents(body), body.as_of.seq], [['m1', 'm2', 'm3'], 4])
})

t.test('pages are found before, after and around a place', async t => {
  const id = await room()
  for (let i = 1; i <= 10; i++) {
    await say(id, `m${i}`) // seq i + 1
    if (i === 6) await project(history, id)
  }
  const page = async (query: string) => (await get(`/rooms/${id}/messages?${query}`, ann.access_token)).body
  const newest = await page('limit=3')
  t.same(contents(newest), ['m8', 'm9', 'm10'])
  const older = await page(`limit=3&before=${newest.next}`)
  t.same(contents(older), ['m5', 'm6', 'm7'])
  t.same(contents(await page(`limit=200&before=${older.next}`)), ['m1', 'm2', 'm3', 'm4'])
  t.equal((await page(`limit=200&before=${older.next}`)).next, null)
  const from = await page('limit=4&after=0')
  t.same(contents(from), ['m1', 'm2', 'm3', 'm4'])
  t.same(contents(await page(`limit=4&after=${from.next}`)), ['m5', 'm6', 'm7', 'm8'])
  t.ok(contents(await page('limit=3&around=6')).includes('m5'))
  t.same(contents(await page('before=1')), [])
  t.same(contents(await page('after=9007199254740991')), [])
})

t.test('a member of a room that hides what was before sees nothing of it', async t => {
  const id = await room({ history: 'joined' })
  await say(id, 'before')
  await post(`/rooms/${id}/join`, {}, bob.access_token)
  await say(id, 'after')
  const page = async () => contents((await get(`/rooms/${id}/messages`, bob.access_token)).body)
  t.same(await page(), ['after'])
  await project(history, id)
  t.same(await page(), ['after'])
  t.same(contents((await get(`/rooms/${id}/messages`, ann.access_token)).body), ['before', 'after'])
})
