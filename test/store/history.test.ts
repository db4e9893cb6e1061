// Message pages: the read model joined with the log, so that what was acked is on the page.
import { randomUUID } from 'node:crypto'
import t from 'tap'
import { readOn } from '../../src/http/events.ts'
import { chainOf } from '../../src/log/chain.ts'
import { decodeEvent } from '../../src/log/codec.ts'
import { messagePage, type Message, type MessageQuery } from '../../src/store/history.ts'
import { archive, caughtUp, createWorld, history, wholeLog, type World } from '../projections/feed.ts'

/** As the route asks for it: archive and stream as one log. */
const page = async ({ store, log }: World, query: MessageQuery) => {
  const head = (await log.heads([query.room_id])).heads.get(query.room_id)?.seq ?? 0
  const whole = { read: async (room: string, after: number, limit: number) => await readOn({ log, store }, room, after, limit, head), deletedAfter: log.deletedAfter }
  return await messagePage({ store, log: whole, decode: decodeEvent, chainOf }, query)
}

/** All messages as the log has them. */
async function everything (world: World, room: string): Promise<Message[]> {
  return (await wholeLog(world.log, room)).flatMap(({ seq, event_id, data }) => {
    const { type, ...event } = JSON.parse(data)
    return type === 'message' ? [{ seq, event_id, ...event, reactions: [], mentions: [] }] : []
  })
}

async function headOf (world: World, room: string) {
  return (await world.log.heads([room])).heads.get(room)
}

for (const [what, projected] of [['projected', 60], ['half of it still in the log only', 30], ['all of it still in the log only', 0]] as const) {
  t.test(`pages by keyset show every message once, in order: ${what}`, async t => {
    const world = await createWorld(t)
    const room = await world.feed.room()
    await world.feed.say(room, projected)
    if (projected > 0) {
      const projector = world.project(history)
      await caughtUp(world, 'history_v1', [room])
      await projector.stop()
    }
    await world.feed.join(room, randomUUID())
    await world.feed.say(room, 60 - projected)
    const all = await everything(world, room)
    const head = await headOf(world, room)

    const newest = await page(world, { room_id: room, limit: 25 })
    t.same(newest, { items: all.slice(-25), next: all.at(-25)!.seq, as_of: head }, 'the newest page')
    const before = await page(world, { room_id: room, limit: 25, before: newest.next! })
    t.same(before.items, all.slice(-50, -25), 'the one before')
    const first = await page(world, { room_id: room, limit: 25, before: before.next! })
    t.same([first.items, first.next], [all.slice(0, -50), null], 'the first one')
    t.same((await page(world, { room_id: room, limit: 60 })).next, null, 'a page that just fits')

    const shown: Message[] = []
    for (let after: number | null = 0; after !== null;) {
      const { items, next }: { items: Message[], next: number | null } = await page(world, { room_id: room, limit: 17, after })
      shown.push(...items)
      after = next
    }
    t.same(shown, all, 'forwards')

    for (const at of [3, 20, 31, 45]) {
      const { items } = await page(world, { room_id: room, limit: 11, around: all[at]!.seq })
      t.same(items, all.slice(Math.max(0, at - 5), Math.max(0, at - 5) + 11), `around message ${at}`)
    }
    t.same((await page(world, { room_id: room, limit: 10, around: 1_000_000 })).items, all.slice(-10), 'around a place beyond the head')
    t.same((await page(world, { room_id: room, limit: 10, before: 2 })), { items: [], next: null, as_of: head })

    const from = all[40]!.seq
    t.same((await page(world, { room_id: room, limit: 100, from })).items, all.slice(41), 'who came in later sees later messages only')
    t.same((await page(world, { room_id: room, limit: 5, from, after: 0 })).items, all.slice(41, 46))
    t.same((await page(world, { room_id: room, limit: 10, from, around: all[42]!.seq })).items, all.slice(41, 51))
  })
}

t.test('an acked message is on the page with the projector stopped, up to the bound, and `as_of` tells the lag beyond it', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  await world.feed.say(room, 999)
  t.equal((await page(world, { room_id: room, limit: 1 })).items[0]?.seq, 1000)
  await world.feed.say(room, 50)
  const { items, as_of } = await page(world, { room_id: room, limit: 1 })
  t.equal(items[0]?.seq, 1000)
  t.equal(as_of.seq, 1000)
})

t.test('who reads forwards gets on beyond the bound, with the projector stopped', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  await world.feed.say(room, 500)
  const author = randomUUID()
  await world.feed.put(room, author, Array.from({ length: 1200 }, (_, i) => ({ type: 'reaction' as const, message_seq: 2, emoji: '👍', added: i % 2 === 0 })))
  await world.feed.say(room, 1100)
  const shown: number[] = []
  const places: number[] = []
  for (let after: number | null = 0; after !== null;) {
    const { items, next }: { items: Message[], next: number | null } = await page(world, { room_id: room, limit: 200, after })
    shown.push(...items.map(({ seq }) => seq))
    places.push(...next === null ? [] : [next])
    after = next
  }
  t.same(shown, (await everything(world, room)).map(({ seq }) => seq))
  t.ok(places.every((place, i) => place > (places[i - 1] ?? 0)), 'always further')
  t.same((await page(world, { room_id: room, limit: 1, after: 5000 })).next, null, 'beyond the head there is nothing to go on to')
})

t.test('a deleted message is a tombstone on every page, however far its delete is beyond the bound', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  const user = randomUUID()
  await world.feed.put(room, user, [{ type: 'message', content: 'secret https://x.y', mentions: [user], attachments: [{ url: 'https://x.y' }] }])
  const projector = world.project(history)
  await caughtUp(world, 'history_v1', [room])
  await projector.stop()
  await world.feed.say(room, 1100)
  await world.feed.put(room, user, [{ type: 'delete', message_seq: 2 }])
  const holds = async (): Promise<void> => {
    const { items: [item], as_of } = await page(world, { room_id: room, limit: 1, around: 2 })
    t.equal(as_of.seq, 1002)
    t.match(item, { seq: 2, content: '', deleted: true, user_id: user, mentions: [] })
    t.notOk(item?.attachments)
    for (const has of ['link', 'mention', 'attachment'] as const) t.same((await page(world, { room_id: room, limit: 10, has })).items, [], has)
  }
  await holds()
  world.project(archive)
  await caughtUp(world, 'archive_v1', [room])
  await world.redis.xtrim(world.keys.log(room), 'MINID', '500-0')
  await world.redis.zrem(world.keys.deleted(room), '2') // as trimming does
  await holds()
})

t.test('of many who reacted the first fifty are named, in their order, and all are counted, also when the first take it back', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  await world.feed.say(room, 1)
  const users = Array.from({ length: 60 }, () => randomUUID())
  const react = async (user: string, added: boolean): Promise<void> => { await world.feed.put(room, user, [{ type: 'reaction', message_seq: 2, emoji: '👍', added }]) }
  const reactions = async () => (await page(world, { room_id: room, limit: 1 })).items[0]?.reactions
  for (const user of users) await react(user, true)
  const wanted = [{ emoji: '👍', count: 60, user_ids: users.slice(0, 50) }]
  t.same(await reactions(), wanted, 'from the log')
  const projector = world.project(history)
  await caughtUp(world, 'history_v1', [room])
  t.same(await reactions(), wanted, 'from the read model')
  await projector.stop()
  for (const user of users.slice(0, 5)) await react(user, false)
  await react(users[2]!, true)
  await react(users[30]!, true)
  t.same(await reactions(), [{ emoji: '👍', count: 56, user_ids: users.slice(5, 55) }], 'from both')
})

t.test('what is trimmed from the stream and not in history yet comes from the archive', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  await world.feed.say(room, 20)
  const all = await everything(world, room)
  world.project(archive)
  await caughtUp(world, 'archive_v1', [room])
  await world.redis.xtrim(world.keys.log(room), 'MINID', '15-0')
  t.same((await page(world, { room_id: room, limit: 100 })).items, all)
})

t.test('a log that does not chain onto the read model adds nothing, nor does what comes after an entry that is no event', async t => {
  const world = await createWorld(t)
  const room = await world.feed.room()
  await world.feed.say(room, 5)
  await world.redis.xadd(world.keys.log(room), '7-0', 'id', randomUUID(), 'chain', 'abcdef0123456789', 'v', 1, 'data', '{"type":"message","content":"x","user_id":"y","timestamp":"z"}')
  t.same((await page(world, { room_id: room, limit: 100 })).as_of.seq, 6)
})

t.test('a room that nobody knows has an empty page', async t => {
  const world = await createWorld(t)
  t.same(await page(world, { room_id: randomUUID(), limit: 10 }), { items: [], next: null, as_of: { seq: 0, chain: '0000000000000000' } })
})
