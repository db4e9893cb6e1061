// The people of a node: their sockets, the signals to them, and their best status.
import t from 'tap'
import { createPeople, type PersonSocket } from '../../src/gateway/people.ts'
import { EPHEMERAL_BYTES_MAX } from '../../src/gateway/hub.ts'
import { textsOf } from '../../src/gateway/outbox.ts'
import type { Signal, SignalListener } from '../../src/log/signals.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'

function world () {
  const listening = new Map<string, SignalListener>()
  const subscribed: unknown[][] = []
  const changes: unknown[][] = []
  const people = createPeople({
    signals: {
      send () {},
      listen (userId, listener) {
        listening.set(userId, listener)
        return () => { listening.delete(userId) }
      },
    },
    subscriptions: { has: (socket, roomId) => socket.id === 'has' && roomId === 'r', add: (socket, roomId, after) => { subscribed.push([socket.id, roomId, after]) } },
    onChange: (userId, gone) => { changes.push(gone === undefined ? [userId] : [userId, gone.id]) },
    metrics: createMetrics('test'),
  })
  const signal = (userId: string, what: Signal): void => { listening.get(userId)!(what, userId) }
  return { people, listening, subscribed, changes, signal }
}

function socket (id: string, { userId = 'ada', bytes = 0 } = {}): PersonSocket & { frames: () => unknown[] } {
  const pushed: Buffer[] = []
  return { id, userId, status: 'online', outbox: { push: (frame: Buffer) => { pushed.push(frame) }, bytes: () => bytes } as never, frames: () => pushed.flatMap(textsOf).map(text => JSON.parse(text)) }
}

t.test('a user is listened for while they have sockets', async t => {
  const { people, listening, changes } = world()
  const [a, b, c] = [socket('a'), socket('b'), socket('c')]
  for (const one of [a, b, c]) people.enter(one)
  t.same([...listening.keys()], ['ada'])
  t.same(people.of('ada'), [a, b, c])
  people.leave(b)
  people.leave(b)
  people.leave(socket('never here'))
  people.leave({ ...socket('nobody'), userId: undefined })
  t.same(people.of('ada'), [a, c])
  people.leave(a)
  t.same([...people.here()], ['ada'])
  people.leave(c)
  t.same([people.of('ada'), [...people.here()], listening.size], [[], [], 0])
  t.same(changes, [['ada'], ['ada'], ['ada'], ['ada', 'b'], ['ada', 'a'], ['ada', 'c']])
})

t.test('their status is the best of all sockets: online, then dnd, then away', async t => {
  const { people, changes } = world()
  const [a, b] = [socket('a'), socket('b')]
  t.equal(people.statusOf('ada'), undefined)
  people.enter(a)
  a.status = 'away'
  people.changed(a)
  t.equal(people.statusOf('ada'), 'away')
  people.enter(b)
  t.equal(people.statusOf('ada'), 'online')
  b.status = 'dnd'
  t.equal(people.statusOf('ada'), 'dnd')
  t.equal(changes.length, 3)
})

t.test('a frame reaches all sockets but the one that is excepted and those that lag', async t => {
  const { people, signal } = world()
  const [a, b, slow] = [socket('a'), socket('b'), socket('slow', { bytes: EPHEMERAL_BYTES_MAX + 1 })]
  for (const one of [a, b, slow]) people.enter(one)
  signal('ada', { type: 'frame', frame: { type: 'unread' }, except: 'b' })
  t.same([a, b, slow].map(one => one.frames()), [[{ type: 'unread' }], [], []])
})

t.test('news in a room subscribe the sockets that are not', async t => {
  const { people, signal, subscribed } = world()
  for (const id of ['has', 'has not']) people.enter(socket(id))
  signal('ada', { type: 'room', room_id: 'r', seq: 7 })
  signal('ada', { type: 'room', room_id: 'new', seq: 0 })
  t.same(subscribed, [['has not', 'r', { seq: 6 }], ['has', 'new', { seq: 0 }], ['has not', 'new', { seq: 0 }]])
})
