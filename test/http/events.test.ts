import t from 'tap'
import { archive } from '../../projections/archive.ts'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { frameOf } from '../../src/log/codec.ts'
import { testStack } from './stack.ts'

const stack = await testStack(t)
const { get, post, redis, keys, project } = stack
const ann = (await post('/auth/guest', { username: 'ann' })).body
const bob = (await post('/auth/guest', { username: 'bob' })).body

async function roomWith (messages: number, more = {}): Promise<string> {
  const { id } = (await post('/rooms', { name: 'a room', kind: 'public', ...more }, ann.access_token)).body
  for (let i = 1; i <= messages; i++) await post(`/rooms/${id}/messages`, { content: `message ${i}` }, ann.access_token)
  return id
}

const seqs = (body: { items: Array<{ seq: number }> }): number[] => body.items.map(({ seq }) => seq)
const upTo = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)

t.test('the log of a room is read page by page, as it is on the wire', async t => {
  const id = await roomWith(6)
  const whole = await get(`/rooms/${id}/events`, ann.access_token)
  t.equal(whole.status, 200)
  t.equal(whole.headers.get('content-type'), 'application/json; charset=utf-8')
  t.same(seqs(whole.body), upTo(1, 7))
  t.match(whole.body.items[0], { type: 'room', change: 'created', room_id: id, seq: 1, chain: /^[0-9a-f]{16}$/, event_id: String, user_id: ann.user.id, timestamp: /Z$/, v: 1 })
  t.match(whole.body.items[6], { type: 'message', content: 'message 6', seq: 7 })
  t.equal(whole.body.next, null)
  t.same(whole.body.as_of, { seq: 7, chain: whole.body.items[6].chain })
  const frames = (await stack.log.read(id, 0, 100)).map(event => JSON.parse(frameOf(id, event)))
  t.same(whole.body.items, frames)

  const first = await get(`/rooms/${id}/events?limit=3`, bob.access_token)
  t.same(seqs(first.body), [1, 2, 3])
  t.equal(first.body.next, 3)
  t.same(first.body.as_of, whole.body.as_of)
  const second = await get(`/rooms/${id}/events?limit=3&after=${first.body.next}`, bob.access_token)
  t.same(seqs(second.body), [4, 5, 6])
  const last = await get(`/rooms/${id.toUpperCase()}/events?limit=3&after=${second.body.next}`, bob.access_token)
  t.same([seqs(last.body), last.body.next], [[7], null])
  t.match((await get(`/rooms/${id}/events?after=7`, ann.access_token)).body, { items: [], next: null, as_of: { seq: 7 } })
  t.match((await get(`/rooms/${id}/events?after=1000`, ann.access_token)).body, { items: [], next: null, as_of: { seq: 7 } })
})

t.test('events that are trimmed from the stream come from the archive, byte for byte', async t => {
  const id = await roomWith(20)
  const before = (await get(`/rooms/${id}/events?limit=200`, ann.access_token)).body
  await project(archive, id)
  for (const minId of ['6-0', '15-0']) {
    await redis.xtrim(keys.log(id), 'MINID', minId)
    t.same((await get(`/rooms/${id}/events?limit=200`, ann.access_token)).body, before)
    for (const after of [0, 3, 5, 10, 14, 20]) t.same(seqs((await get(`/rooms/${id}/events?after=${after}&limit=8`, ann.access_token)).body), upTo(after + 1, Math.min(after + 8, 21)))
  }
  await redis.xtrim(keys.log(id), 'MAXLEN', 0)
  t.same((await get(`/rooms/${id}/events?limit=200`, ann.access_token)).body, before)
  await post(`/rooms/${id}/messages`, { content: 'newest' }, ann.access_token)
  t.same(seqs((await get(`/rooms/${id}/events?limit=200`, ann.access_token)).body), upTo(1, 22))
})

t.test('a hole in both stores is never passed over', async t => {
  const id = await roomWith(5)
  await project(archive, id)
  await redis.xtrim(keys.log(id), 'MINID', '5-0')
  await stack.store.query('DELETE FROM events WHERE room_id = $1 AND seq = 3', [id])
  t.same(seqs((await get(`/rooms/${id}/events`, ann.access_token)).body), [1, 2], 'up to the hole')
  t.match(await get(`/rooms/${id}/events?after=2`, ann.access_token), { status: 503, body: { code: 'unavailable' } })
  t.same(seqs((await get(`/rooms/${id}/events?after=3`, ann.access_token)).body), [4, 5, 6])
})

t.test('only those read who may, and from where they may', async t => {
  const execute = async (user_id: string, command: Parameters<typeof stack.commands.execute>[0]['command']) => await stack.commands.execute({ user_id, session: user_id, command })
  const secret = '019abc00-0000-7000-8000-00000000aaaa'
  await execute(ann.user.id, { type: 'create', room_id: secret, name: 'secret', kind: 'private' })
  t.equal((await get(`/rooms/${secret}/events`, ann.access_token)).status, 200)
  for (const path of ['', '/events', '/messages']) t.match(await get(`/rooms/${secret}${path}`, bob.access_token), { status: 404, body: { code: 'room_not_found' } })

  const late = await roomWith(3, { history: 'joined' })
  t.equal((await post(`/rooms/${late}/join`, {}, bob.access_token)).body.seq, 5)
  await post(`/rooms/${late}/messages`, { content: 'after' }, ann.access_token)
  t.same(seqs((await get(`/rooms/${late}/events?after=1`, bob.access_token)).body), [5, 6], 'from the join on')

  t.equal((await get('/rooms/lobby/events', bob.access_token)).body.items[0].room_id, LOBBY_ID)
})
