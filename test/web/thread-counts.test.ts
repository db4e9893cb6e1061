// What is known of threads by the messages and events that come by: counted once each, without what was deleted or parted, and honest about what may be missing.
import t from 'tap'
import { Threads, type ThreadSummary } from '../../web/src/chat/threads.ts'

const message = (seq: number, thread?: number, user_id = 'ada') => ({ seq, user_id, timestamp: `2026-11-20T10:00:${String(seq).padStart(2, '0')}.000Z`, thread, deleted: false })
/** Threads, with what was told last of each. */
function counting () {
  const known = new Map<number, ThreadSummary | undefined>()
  return { threads: new Threads((root, summary) => { known.set(root, summary) }), told: (root: number) => known.get(root) }
}

t.test('answers are counted once, whoever tells of them, with the latest person first', async t => {
  const { threads, told } = counting()
  threads.met([message(1), message(2, 1), message(3, 1, 'bob')], true)
  threads.met([message(1), message(2, 1), message(3, 1, 'bob')], true)
  t.match(told(1), { count: 2, users: ['bob', 'ada'], at: '2026-11-20T10:00:03.000Z', isExact: true })
  threads.event({ type: 'message', ...message(4, 1) })
  threads.event({ type: 'message', ...message(4, 1) })
  t.match(told(1), { count: 3, users: ['ada', 'bob'] })
})

t.test('deleted answers are not counted, nor those of a history that does not stand', async t => {
  const { threads, told } = counting()
  threads.met([message(1), message(2, 1), message(3, 1, 'bob'), message(4, 1)], true)
  threads.event({ type: 'delete', ...message(5), message_seq: 3 })
  t.match(told(1), { count: 2, users: ['ada'] })
  threads.met([{ ...message(4, 1), deleted: true }], false)
  t.match(told(1), { count: 1 })
  threads.reset(1)
  t.equal(told(1), undefined, 'a thread without answers is none')
})

t.test('where messages may be missing the count says that it may be wrong, until all are asked for', async t => {
  const { threads, told } = counting()
  threads.met([message(10), message(11, 10), message(12, 3)], false)
  t.match(told(10), { count: 1, isExact: false })
  threads.met([message(10), message(11, 10), message(12, 3), message(13, 10)], true)
  t.match(told(10), { count: 2, isExact: true })
  t.match(told(3), { count: 1, isExact: false }, 'it began before the messages that are known')
  threads.filled(3, [message(4, 3), message(12, 3)])
  t.match(told(3), { count: 2, isExact: true })
})
