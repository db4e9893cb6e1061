// The hub over a tail that the test plays: what each kind of subscriber gets, and when the tail is asked and let go.
import { setImmediate as turnOfLoop, setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { START } from '../../src/domain/position.ts'
import { BUFFER_EVENTS, createHub, type Subscriber } from '../../src/gateway/hub.ts'
import { textsOf, type Outbox } from '../../src/gateway/outbox.ts'
import { createTurn } from '../../src/gateway/turn.ts'
import type { LogEvent } from '../../src/log/codec.ts'
import { LogFault } from '../../src/log/log.ts'
import type { Follower, Tail } from '../../src/log/tail.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { until } from '../until.ts'

const ROOM = '019abc00-0000-7000-8000-0000000000aa'
const metrics = createMetrics('test')

const event = (seq: number): LogEvent => ({ seq, chain: seq.toString(16).padStart(16, '0'), event_id: `event ${seq}`, v: 1, data: `{"type":"message","content":"${seq}","user_id":"u","timestamp":"2026-11-20T10:00:00.123Z"}` })

function playedTail (lingering: { lingerMs?: number, lingeringMax?: number } = {}) {
  const played = { followed: 0, released: 0, position: { seq: 0, chain: '0'.repeat(16) }, fails: false, gate: Promise.resolve(), follower: undefined as Follower | undefined, say, delete: (seq: number) => { hand([{ ...event(seq), data: '{"type":"delete","message_seq":1}' }]) } }
  function say (...seqs: number[]): void {
    hand(seqs.map(event))
  }
  function hand (events: LogEvent[]): void {
    const { seq, chain } = events.at(-1)!
    played.position = { seq, chain }
    played.follower!.onEvents(events)
  }
  const tail = {
    async follow (_roomId: string, follower: Follower) {
      played.followed += 1
      await played.gate
      if (played.fails) throw new LogFault('unavailable', 'the log is away')
      played.follower = follower
      return { position: () => played.position, chainAt: (seq: number) => event(seq).chain, release: () => { played.released += 1 } }
    },
    close: async () => {},
  } satisfies Tail
  return { played, hub: createHub({ tail, turn: createTurn(), metrics, clock: Date.now, lingerMs: 30_000, ...lingering }) }
}

function listener () {
  const pushed: Buffer[] = []
  const outbox = { push: (frames: Buffer) => { pushed.push(frames) } } as unknown as Outbox
  const subscriber: Subscriber = { outbox, userId: 'ada', open: false, state: 'catching up', buffer: [], reset: undefined, beat: 0 }
  return { subscriber, pushed, seqs: () => textsOf(Buffer.concat(pushed)).map(text => JSON.parse(text).seq as number) }
}

t.test('what a turn brought is one buffer, shared by all who are live', async t => {
  const { hub, played } = playedTail()
  const [a, b] = [listener(), listener()]
  const feed = await hub.feed(ROOM)
  t.equal(await hub.feed(ROOM), feed, 'one feed for both')
  feed.live(a.subscriber)
  feed.live(b.subscriber)
  played.say(1, 2)
  played.say(3)
  t.same(a.pushed, [])
  await turnOfLoop()
  t.equal(a.pushed.length, 1)
  t.equal(a.pushed[0], b.pushed[0], 'the same bytes, not a copy')
  t.same(a.seqs(), [1, 2, 3])
  played.say(4)
  await turnOfLoop()
  t.same(b.seqs(), [1, 2, 3, 4])
  t.match(JSON.parse(textsOf(b.pushed[1]!)[0]!), { room_id: ROOM, seq: 4, chain: event(4).chain, event_id: 'event 4', v: 1, type: 'message', content: '4' })
})

t.test('who becomes live within a turn gets only what comes after the position', async t => {
  const { hub, played } = playedTail()
  const [a, b] = [listener(), listener()]
  const feed = await hub.feed(ROOM)
  feed.live(a.subscriber)
  played.say(1)
  feed.live(b.subscriber)
  t.equal(b.subscriber.beat, 1)
  played.say(2)
  await turnOfLoop()
  t.same(a.seqs(), [1, 2])
  t.same(b.seqs(), [2])
})

t.test('for who buffers events are kept, up to a bound; beyond it they read on from the log', async t => {
  const { hub, played } = playedTail()
  const a = listener()
  const feed = await hub.feed(ROOM)
  feed.buffer(a.subscriber)
  played.say(1, 2, 3)
  await turnOfLoop()
  t.same(a.subscriber.buffer.map(({ seq }) => seq), [1, 2, 3])
  t.same(textsOf(a.subscriber.buffer[2]!.frame).map(text => JSON.parse(text).seq), [3])
  t.same(a.pushed, [])
  for (let seq = 4; seq <= BUFFER_EVENTS; seq++) played.say(seq)
  t.equal(a.subscriber.state, 'buffering')
  played.say(BUFFER_EVENTS + 1)
  t.equal(a.subscriber.state, 'catching up')
  played.say(BUFFER_EVENTS + 2)
  t.equal(a.subscriber.buffer.length, 0, 'it reads on from the log: nothing is kept for it')
  feed.buffer(a.subscriber)
  played.say(BUFFER_EVENTS + 3)
  t.same(a.subscriber.buffer.map(({ seq }) => seq), [BUFFER_EVENTS + 3], 'a new buffer begins after the position')
  feed.live(a.subscriber)
  t.same(a.subscriber.buffer, [])
})

t.test('a reset comes after all that was delivered before it; everybody comes in again, for what let them in may be void', async t => {
  const { hub, played } = playedTail()
  const [live, buffering] = [listener(), listener()]
  const parted: unknown[] = []
  hub.onParted((subscriber, room, position) => { parted.push(subscriber === live.subscriber, room, position) })
  const feed = await hub.feed(ROOM)
  feed.live(live.subscriber)
  feed.buffer(buffering.subscriber)
  played.say(1, 2, 3)
  played.position = { seq: 1, chain: event(1).chain }
  played.follower!.onReset(played.position)
  played.say(2)
  await turnOfLoop()
  const texts = textsOf(Buffer.concat(live.pushed)).map(text => JSON.parse(text))
  t.same(texts.map(({ seq }) => seq), [1, 2, 3, 1], 'and nothing until it was asked again whether they may')
  t.equal(live.subscriber.state, 'catching up')
  t.same(parted, [true, ROOM, { seq: 1, chain: event(1).chain }])
  t.same(texts[3], { type: 'reset', room_id: ROOM, reason: 'parted', seq: 1, chain: event(1).chain })
  t.equal(buffering.subscriber.state, 'catching up')
  t.same(buffering.subscriber.buffer, [], 'of the history that is void nothing is kept')
  t.same(buffering.subscriber.reset, { seq: 1, chain: event(1).chain })
  t.same(buffering.pushed, [])
})

t.test('a while after the last one has left the tail is let go, and the next to come follows anew', async t => {
  const { hub, played } = playedTail({ lingerMs: 50 })
  const [a, b] = [listener(), listener()]
  const feed = await hub.feed(ROOM)
  await hub.feed(ROOM)
  feed.live(a.subscriber)
  feed.live(b.subscriber)
  feed.leave(a.subscriber)
  played.say(1)
  await turnOfLoop()
  t.same([a.seqs(), b.seqs(), played.released], [[], [1], 0])
  feed.leave(b.subscriber)
  t.same([played.released, hub.has(ROOM)], [0, true])
  await until(() => played.released === 1, { what: 'the tail to be let go' })
  t.equal(hub.has(ROOM), false)
  const again = await hub.feed(ROOM)
  t.not(again, feed)
  t.equal(played.followed, 2)
})

t.test('what comes while nobody is there is kept for whoever comes back, as long as it is little and nothing is deleted', async t => {
  const { hub, played } = playedTail()
  const a = listener()
  const feed = await hub.feed(ROOM)
  const kept = (seq: number, limit = 1000) => feed.keptAfter({ seq, chain: event(seq).chain }, limit)?.map(({ seq }) => seq)
  feed.live(a.subscriber)
  played.say(1, 2)
  t.equal(kept(2), undefined, 'nothing, while somebody is there')
  feed.leave(a.subscriber)
  played.say(3, 4)
  played.say(5)
  t.same([kept(2), kept(2, 2), kept(4), kept(5)], [[3, 4, 5], [3, 4], [5], []])
  t.same([kept(1), kept(6), feed.keptAfter({ seq: 3, chain: event(4).chain }, 9)], [undefined, undefined, undefined], 'not from elsewhere')
  t.equal(JSON.parse(textsOf(feed.keptAfter({ seq: 4, chain: event(4).chain }, 9)![0]!.frame)[0]!).content, '5')
  t.equal(await hub.feed(ROOM), feed)
  feed.live(a.subscriber)
  played.say(6)
  t.same(kept(4), [5, 6], 'others may come back after the first')
  played.delete(7)
  played.say(8)
  t.same([kept(4), kept(6), kept(7)], [undefined, undefined, [8]])
  played.say(...Array.from({ length: 256 }, (_, i) => 9 + i))
  t.equal(kept(7), undefined, 'too many')
  feed.leave(a.subscriber)
  played.say(265)
  t.same(kept(264), [265], 'from the next time on')
  played.follower!.onReset({ seq: 264, chain: event(264).chain })
  t.equal(kept(264), undefined)
  feed.leave(a.subscriber)
})

t.test('one that has come back lets nothing end; of too many feeds without anybody the oldest end', async t => {
  const { hub, played } = playedTail({ lingerMs: 30, lingeringMax: 2 })
  const a = listener()
  const feed = await hub.feed(ROOM)
  feed.leave(a.subscriber)
  await hub.feed(ROOM)
  feed.live(a.subscriber)
  await sleep(60)
  t.equal(played.released, 0)
  played.say(1)
  t.equal(feed.keptAfter({ seq: 0, chain: START.chain }, 1), undefined, 'nothing more is kept')
  for (const room of ['a', 'b', 'c']) (await hub.feed(room)).leave(listener().subscriber)
  t.same([hub.has(ROOM), hub.has('a'), hub.has('b'), hub.has('c'), played.released], [true, false, true, true, 1])
})

t.test('many who come at once are one follow', async t => {
  const { hub, played } = playedTail({ lingerMs: 0 })
  const feeds = await Promise.all(Array.from({ length: 50 }, async () => await hub.feed(ROOM)))
  t.equal(played.followed, 1)
  t.equal(new Set(feeds).size, 1)
  for (const feed of feeds) feed.leave(listener().subscriber)
  t.equal(played.released, 1)
})

t.test('one who leaves while others are about to come in leaves nobody with a dead feed', async t => {
  const { hub, played } = playedTail({ lingerMs: 0 })
  const first = hub.feed(ROOM).then(feed => { feed.leave(listener().subscriber); return feed })
  const second = hub.feed(ROOM)
  const [gone, feed] = await Promise.all([first, second])
  const a = listener()
  feed.live(a.subscriber)
  played.say(1)
  await turnOfLoop()
  t.same(a.seqs(), [1])
  t.equal(played.followed - played.released, 1)
  t.ok(gone)
})

t.test('a follow that failed is told to all who waited, and tried again for the next', async t => {
  const { hub, played } = playedTail()
  played.fails = true
  const failed = await Promise.allSettled([hub.feed(ROOM), hub.feed(ROOM)])
  t.same(failed.map(({ status }) => status), ['rejected', 'rejected'])
  played.fails = false
  t.ok(await hub.feed(ROOM))
  t.equal(played.followed, 2)
})
