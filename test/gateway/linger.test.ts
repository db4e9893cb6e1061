// Whoever comes back soon to the gateway that they were at is served from what it has kept, with the frames that a read of the log would have given.
import t from 'tap'
import { connect, type Client } from '../client.ts'
import { until } from '../until.ts'
import { liveWorld } from './live.ts'

const world = await liveWorld(t, { env: { LINGER_S: '3600' }, projector: false }) // it reads streams too
const api = world.api(0)
const [ann, bob] = [await world.signup(), await world.signup()]
const frames = (client: Client, room: string): unknown[] => client.events(room)
/** How many reads of streams Redis has served. */
const reads = async (): Promise<number> => Number(/cmdstat_xrange:calls=(\d+)/.exec(await world.redis.info('commandstats'))?.[1] ?? 0)

t.test('one who comes back is served without a read of the stream, and another elsewhere gets the same', async t => {
  const other = await world.gateway()
  const room = await world.room(ann.access_token)
  const say = async (content: string): Promise<number> => (await api.post(`/rooms/${room}/messages`, { content }, ann.access_token)).body.seq
  const first = await connect({ url: world.url, token: ann.access_token, resume: { rooms: { [room]: { seq: 0 } } } })
  await first.next(({ type }) => type === 'live')
  const position = first.position(room)!
  await first.close()
  const said = [await say('while'), await say('nobody'), await say('was there')]
  await until(async () => (await world.shared.metrics.bells.get()).values.length > 0)

  const before = await reads()
  const back = await connect({ url: world.url, token: ann.access_token, resume: { rooms: { [room]: position } } })
  t.match(await back.next(({ type }) => type === 'live'), { room_id: room, seq: said.at(-1) })
  t.equal(await reads(), before)
  const elsewhere = await connect({ url: other.url, token: ann.access_token, resume: { rooms: { [room]: position } } })
  await elsewhere.next(({ type }) => type === 'live')
  t.ok(await reads() > before)
  t.equal(frames(back, room).length, 3)
  t.same(frames(back, room), frames(elsewhere, room))
  const then = await say('and then')
  for (const client of [back, elsewhere]) await client.next(({ seq }) => seq === then)

  for (const client of [back, elsewhere]) await client.close()
  await other.stop()
})

t.test('what was deleted meanwhile, here or elsewhere, comes as a tombstone; who was put out meanwhile gets nothing', async t => {
  const other = await world.gateway()
  const room = await world.room(ann.access_token)
  await api.post(`/rooms/${room}/join`, {}, bob.access_token)
  const say = async (content: string): Promise<number> => (await api.post(`/rooms/${room}/messages`, { content }, ann.access_token)).body.seq
  const first = await connect({ url: world.url, token: bob.access_token, resume: { rooms: { [room]: { seq: 0 } } } })
  await first.next(({ type }) => type === 'live')
  const position = first.position(room)!
  await first.close()
  for (const url of [world.url, other.url]) {
    const seq = await say('secret')
    const elsewhere = await connect({ url, token: ann.access_token })
    await elsewhere.request({ type: 'delete', client_id: crypto.randomUUID(), room_id: room, message_seq: seq })
    await elsewhere.close()
    const back = await connect({ url: world.url, token: bob.access_token, resume: { rooms: { [room]: position } } })
    await back.next(({ type }) => type === 'live')
    t.notOk(back.events(room).some(({ content }) => content === 'secret'), 'not even for a moment')
    t.match(back.events(room).find(event => event.seq === seq), { type: 'message', content: '', deleted: true })
    await back.close()
  }
  await say('after that')
  await api.call('PUT', `/rooms/${room}/bans/${bob.user.id}`, { token: ann.access_token, body: {} })
  const put = await connect({ url: world.url, token: bob.access_token, resume: { rooms: { [room]: position } } })
  t.match(await put.next(({ type, room_id }) => type === 'error' && room_id === room), { code: 'banned' })
  t.same(put.events(room), [])
  await put.close()
  await other.stop()
})
