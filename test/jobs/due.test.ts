// Which rooms are looked at, and when: those that cannot be looked at hold nobody up, and a room in which people go on talking is told of once in a while.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { history } from '../../projections/history.ts'
import { groupOf } from '../../projections/projection.ts'
import { dueRooms, queueNotifications } from '../../src/store/notifications.ts'
import { until } from '../until.ts'
import { jobsWorld, receiver } from './stand.ts'

const DELAY_S = 3
const world = await jobsWorld(t, { NOTIFY_DELAY_S: String(DELAY_S) })
const { http, person, store } = world
const service = await receiver(t)
const at = (path: string) => service.received.filter(received => received.path === path)

async function roomOf (...people: Array<{ token: string, join: (room: string) => Promise<unknown> }>): Promise<string> {
  const [owner, ...members] = people
  const id = await world.room(owner!.token)
  for (const member of members) await member.join(id)
  return id
}

t.test('a room waits for the read model that is live, whatever the version of this code: what it does not have yet would be settled unseen', async t => {
  const [ann, bob] = [await person(), await person()]
  const room = await roomOf(ann, bob)
  const seq = await ann.say(room, 'hello')
  await world.projected()
  const due = async () => (await dueRooms(store, { delayMs: 0, limit: 1000 })).find(({ room_id }) => room_id === room)
  t.match(await due(), { cut_seq: seq })
  // As if the tables of another version were live: as long as they do not have the room, then as soon as they have.
  await store.query("UPDATE projection_versions SET version = 99 WHERE name = 'history'")
  t.match(await due(), { cut_seq: null })
  await store.query("UPDATE checkpoints SET projection = 'history_v99' WHERE projection = $1 AND room_id = $2", [groupOf(history), room])
  t.match(await due(), { cut_seq: seq })
  await store.query('UPDATE checkpoints SET projection = $1 WHERE room_id = $2 AND projection = $3', [groupOf(history), room, 'history_v99'])
  await store.query('UPDATE projection_versions SET version = $1 WHERE name = $2', [history.version, history.name])
})

t.test('rooms that cannot be looked at, however many and however long, hold up no other', async t => {
  // The read model has none of them: as where it is parked in them.
  const stuck = Array.from({ length: 450 }, () => randomUUID())
  await store.query("INSERT INTO notification_rooms (room_id, first_seq, last_seq, waiting_since) SELECT id, 1, 5, now() - interval '3 hours' FROM unnest($1::uuid[]) AS stuck (id)", [stuck])
  const { stop } = await world.jobs()
  const [ann, bob] = [await person(), await person()]
  await bob.subscribe(`${service.url}/not held up`.replaceAll(' ', '-'))
  const room = await roomOf(ann, bob)
  await ann.say(room, 'hello')
  await until(() => at('/not-held-up').length === 1, { what: 'the room that can be looked at' })
  const { rowCount } = await store.query('SELECT FROM notification_rooms WHERE room_id = ANY ($1)', [stuck])
  t.equal(rowCount, stuck.length, 'and none of them is forgotten')
  await stop()
  await store.query('DELETE FROM notification_rooms WHERE room_id = ANY ($1)', [stuck])
})

t.test('while the sessions of somebody are ended, in whatever order, nobody waits in a circle', async t => {
  const bob = await person('many devices')
  const phones = [await bob.subscribe('http://127.0.0.1:9/first'), await bob.subscribe('http://127.0.0.1:9/last')]
  const [ending, queueing] = [await store.connect(), await store.connect()]
  t.teardown(() => { for (const client of [ending, queueing]) client.release(true) })
  for (const client of [ending, queueing]) await client.query('BEGIN')
  await ending.query('DELETE FROM push_subscriptions WHERE id = $1', [phones[1]!.id])
  const queued = await queueNotifications(queueing, { room_id: randomUUID(), seq: 1, chain: 'x', newest: new Date() }, [{ user_id: bob.id, kind: 'message', messages: true, from_seq: 1, to_seq: 1 }], randomUUID)
  t.match(queued, [{ url: 'http://127.0.0.1:9/first' }])
  const deleted = ending.query('DELETE FROM push_subscriptions WHERE id = $1', [phones[0]!.id])
  await queueing.query('COMMIT')
  await deleted
  await ending.query('COMMIT')
  t.equal((await store.query('SELECT FROM notifications WHERE user_id = $1', [bob.id])).rowCount, 0, 'what was queued goes with its browser')
})

t.test('where people go on talking, whoever is away is told once in each delay, not of each message', async t => {
  const { stop } = await world.jobs()
  const [ann, bob] = [await person(), await person()]
  await bob.webhook({ url: `${service.url}/talk` })
  const room = await roomOf(ann, bob)
  const seqs: number[] = []
  for (let i = 0; i < 24; i++) {
    seqs.push(await ann.say(room, `${i}`))
    await sleep(400)
  }
  await until(() => at('/talk').some(({ body }) => JSON.parse(body.toString()).data.to_seq === seqs.at(-1)), { what: 'the last message to be told of' })
  const told = at('/talk').map(({ body }) => JSON.parse(body.toString()).data as { from_seq: number, to_seq: number })
  t.ok(told.length <= 5, `${told.length} deliveries for ${seqs.length} messages in ${seqs.length * 0.4} s`)
  t.same(told.flatMap(({ from_seq, to_seq }) => seqs.filter(seq => seq >= from_seq && seq <= to_seq)).sort((a, b) => a - b), seqs, 'each in one of them')
  t.equal((await http.get('/webhooks', bob.token)).body.items.length, 1)
  await stop()
})
