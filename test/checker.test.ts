// The checker's own test: a good history passes, and a history with one defect of each kind is refused with that defect
// named. A checker that lets a defect pass is worse than none, so every defect starts from the same good history.

import t from 'tap'
import { createChecker, type Checker, type Evidence, type Judgement } from './checker.ts'
import { foldMessages, frameOf, nextChain, NO_CHAIN, type ArchiveRow, type HistoryRow, type LogEntry } from './checker-log.ts'
import type { Frame } from './client.ts'

const ROOM = 'room-1'
const ANN = 'user-ann'
const time = (seq: number) => new Date(Date.UTC(2026, 10, 20, 10, 0, seq)).toISOString()

// A log of n messages by Ann; `change` may turn an event into another before it is chained.
function makeLog (n: number, change: (event: Record<string, unknown>, seq: number) => object = event => event, branch = ''): LogEntry[] {
  const log: LogEntry[] = []
  let chain = NO_CHAIN
  for (let seq = 1; seq <= n; seq++) {
    const event_id = `event-${seq}${branch}`
    chain = nextChain(chain, event_id)
    const data = JSON.stringify(change({ type: 'message', user_id: ANN, timestamp: time(seq), client_id: `key-${seq}`, content: `text ${seq}` }, seq))
    log.push({ seq, chain, event_id, v: 1, data })
  }
  return log
}

const ackOf = ({ seq, chain, event_id }: LogEntry) => ({ session: 's', room_id: ROOM, client_id: `key-${seq}`, seq, chain, event_id, duplicate: false })
const archiveOf = (log: LogEntry[]): ArchiveRow[] => log.map(entry => ({ ...entry, seq: String(entry.seq), data: JSON.parse(entry.data) }))
const historyOf = (log: LogEntry[]): HistoryRow[] => [...foldMessages(log.map(entry => frameOf(ROOM, entry))).values()]

type Story = { log: LogEntry[], frames: Frame[], acks: ReturnType<typeof ackOf>[], sent: number[], archive: ArchiveRow[], messages: HistoryRow[] }

// Ann sends five messages in one session; Bob follows from the beginning. `spoil` makes one thing wrong.
function tell (spoil: (story: Story, checker: Checker) => Partial<Evidence> | void = () => {}): Judgement {
  const log = makeLog(5)
  const story: Story = { log, frames: log.map(entry => frameOf(ROOM, entry)), acks: log.map(ackOf), sent: [1, 2, 3, 4, 5], archive: archiveOf(log), messages: historyOf(log) }
  const checker = createChecker()
  const more = spoil(story, checker)
  for (const n of story.sent) checker.sent({ session: 's', room_id: ROOM, client_id: `key-${n}`, content: `text ${n}`, at: n })
  for (const ack of story.acks) checker.acked(ack)
  const bob = checker.subscriber('bob')
  bob.subscribed(ROOM, { seq: 0 })
  for (const frame of story.frames) bob.frame(frame)
  const { archive, messages } = story
  return checker.judge({ logs: new Map([[ROOM, story.log]]), archive: new Map([[ROOM, archive]]), messages: new Map([[ROOM, messages]]), expectAllDelivered: true, ...more })
}

t.test('a good history passes and is counted', async t => {
  const { ok, problems, counted } = tell(story => {
    story.frames.splice(2, 0, { type: 'sync', room_id: ROOM, from: 1, to: 5 }, { type: 'heartbeat', heads: { [ROOM]: 5 } }, { type: 'typing', room_id: ROOM, user_id: ANN })
    story.frames.push({ type: 'live', room_id: ROOM, seq: 5, chain: story.log[4]?.chain }, { type: 'ack', ref: 1, room_id: ROOM, seq: 3, event_id: 'event-3' })
    const { chain = '' } = story.log[4] ?? {}
    return { checkpoints: [{ projection: 'history', room_id: ROOM, seq: '5', chain }], expectAllProjected: true }
  })
  t.strictSame(problems, [])
  t.ok(ok)
  t.match(counted, { rooms: 1, entries: 5, sent: 5, acked: 5, subscribers: 1, delivered: 5, resets: 0, archived: 5, messages: 5, problems: {} })
})

t.test('the chain is the one of the design', async t => {
  t.equal(nextChain(NO_CHAIN, 'event-1'), '3f75fa89eefe35e0')
})

const change = <T extends object>(list: T[], index: number, fields: Partial<T>) => { list[index] = { ...list[index], ...fields } as T }

const defects: { title: string, spoil: Parameters<typeof tell>[0], problem: RegExp }[] = [
  { title: 'an ack that the log does not have', spoil: story => { story.acks.push({ ...ackOf(story.log[4]!), seq: 6 }) }, problem: /names seq 6 of room room-1, which the log does not have/ },
  { title: 'an ack with another chain', spoil: story => change(story.acks, 1, { chain: 'f'.repeat(16) }), problem: /names seq 2 .* with chain f+, in the log it is/ },
  { title: 'an ack of another event', spoil: story => change(story.acks, 1, { event_id: 'other' }), problem: /as event other, in the log it is event-2/ },
  { title: 'an ack for another command', spoil: story => change(story.acks, 1, { client_id: 'key-3' }), problem: /ack of key-3 .* names seq 2 .*, where the log has key-2/ },
  { title: 'a content that was changed on the way', spoil: (_, checker) => checker.sent({ session: 's', room_id: ROOM, client_id: 'key-1', content: 'other' }), problem: /key-1 was sent .* as "other" and logged as "text 1"/ },
  { title: 'an event with no end', spoil: story => change(story.log, 4, { data: '{"type":"mess' }), problem: /seq 5 of room room-1 has data without type/ },
  { title: 'an event without an author', spoil: story => change(story.log, 4, { data: '{"type":"message","timestamp":""}' }), problem: /has data without type, user_id and timestamp/ },
  { title: 'a log with a hole', spoil: story => { story.log.splice(2, 1) }, problem: /the log has seq 4 of room room-1 after 2/ },
  { title: 'a log that begins late', spoil: story => { story.log.splice(0, 1) }, problem: /the log has seq 2 of room room-1 after 0/ },
  { title: 'a log with a wrong chain', spoil: story => change(story.log, 2, { chain: '0123456789abcdef' }), problem: /seq 3 of room room-1 has chain 0123456789abcdef, which does not follow/ },
  { title: 'a command in the log twice', spoil: story => { story.log = makeLog(6, (event, seq) => seq === 6 ? { ...event, client_id: 'key-2' } : event) }, problem: /has key-2 by user-ann twice, at seq 2 and 6/ },
  { title: 'an event_id in the log twice', spoil: story => { story.log.push({ ...story.log[1]!, seq: 6, chain: nextChain(story.log[4]!.chain, 'event-2') }) }, problem: /seq 6 .* has the event_id event-2 of an earlier one/ },
  { title: 'commands of a session in the wrong order', spoil: story => { story.sent = [1, 3, 2, 4, 5] }, problem: /session s sent key-3 before key-2, in the log of room room-1 they are seq 3 and 2/ },
  { title: 'an unacked command logged out of order', spoil: story => { story.sent = [1, 3, 2, 4, 5]; story.acks = [] }, problem: /session s sent key-3 before key-2/ },
  { title: 'a lost event', spoil: story => { story.frames.splice(2, 1) }, problem: /bob got seq 4 of room room-1 where 3 was due, without a reset/ },
  { title: 'a lost first event', spoil: story => { story.frames.splice(0, 1) }, problem: /bob got seq 2 of room room-1 where 1 was due/ },
  { title: 'a lost last event', spoil: story => { story.frames.pop() }, problem: /bob reached seq 4 of room room-1, whose head is 5/ },
  { title: 'an event twice', spoil: story => { story.frames.push(story.frames[4]!) }, problem: /bob got seq 5 of room room-1 twice: it was at 5/ },
  { title: 'an old event twice', spoil: story => { story.frames.push(story.frames[1]!) }, problem: /bob got seq 2 of room room-1 twice: it was at 5/ },
  { title: 'two events swapped', spoil: story => { story.frames = [1, 3, 2, 4, 5].map(n => story.frames[n - 1]!) }, problem: /bob got seq 2 of room room-1 out of order: it was at 3/ },
  { title: 'an event with another content', spoil: story => change(story.frames, 1, { content: 'other' }), problem: /bob got seq 2 of room room-1 with another content than the log has/ },
  { title: 'an event with a field too many', spoil: story => change(story.frames, 1, { password: 'x' }), problem: /with another password than the log has/ },
  { title: 'an event with another chain', spoil: story => change(story.frames, 1, { chain: NO_CHAIN }), problem: /with another chain than the log has/ },
  { title: 'an event that the log does not have', spoil: story => { story.frames.push({ ...story.frames[4]!, seq: 6 }) }, problem: /bob got seq 6 of room room-1 which the log does not have/ },
  { title: 'an event of a room without a log', spoil: story => { story.frames.push({ ...story.frames[0]!, room_id: 'other' }) }, problem: /bob got seq 1 of room other which the log does not have/ },
  { title: 'live at another seq', spoil: story => { story.frames.push({ type: 'live', room_id: ROOM, seq: 4, chain: story.log[3]!.chain }) }, problem: /bob was told live at seq 4 of room room-1 but was at 5/ },
  { title: 'live with another chain', spoil: story => { story.frames.push({ type: 'live', room_id: ROOM, seq: 5, chain: NO_CHAIN }) }, problem: /bob was told live at seq 5 chain 0+ of room room-1, which the log does not have/ },
  { title: 'a reset to nowhere', spoil: story => { story.frames.push({ type: 'reset', reason: 'parted', room_id: ROOM, seq: 4, chain: 'nowhere' }, story.frames[4]!) }, problem: /bob was reset to seq 4 chain nowhere of room room-1, which the log does not have/ },
  { title: 'a reset without need', spoil: story => { story.frames.push({ type: 'reset', reason: 'parted', room_id: ROOM, seq: 4, chain: story.log[3]!.chain }, story.frames[4]!) }, problem: /reset as parted in room room-1, though seq 5 chain .*, which it held, is in the log/ },
  { title: 'a frame that is none', spoil: story => { story.frames.push({ type: 'unreadable', text: '{' }) }, problem: /bob got what is no frame: \{/ },
  { title: 'an archive that is short', spoil: story => { story.archive.pop() }, problem: /the archive of room room-1 has 4 events, the log 5/ },
  { title: 'an archive with an event twice', spoil: story => { story.archive.splice(1, 0, story.archive[1]!) }, problem: /seq 3 of room room-1 has another chain, data, event_id, seq in the archive/ },
  { title: 'an archive with another text', spoil: story => change(story.archive, 1, { data: '{}' }), problem: /seq 2 of room room-1 has another data in the archive/ },
  { title: 'an archive with another version', spoil: story => change(story.archive, 1, { v: 2 }), problem: /seq 2 of room room-1 has another v in the archive/ },
  { title: 'an archived room without a log', spoil: story => ({ archive: new Map([[ROOM, story.archive], ['other', story.archive]]) }), problem: /the archive of room other has 5 events, the log 0/ },
  { title: 'a missing message', spoil: story => { story.messages.splice(2, 1) }, problem: /the message at seq 3 of room room-1 is missing from the history/ },
  { title: 'a message twice', spoil: story => { story.messages.splice(2, 0, story.messages[2]!) }, problem: /the history of room room-1 has seq 3 after 3/ },
  { title: 'a message from nowhere', spoil: story => { story.messages.push({ ...story.messages[4]!, seq: 6 }) }, problem: /has a message at seq 6, the log has none there/ },
  { title: 'a message with another text', spoil: story => change(story.messages, 0, { content: 'other' }), problem: /the message at seq 1 of room room-1 has another content in the history/ },
  { title: 'a message that claims to be deleted', spoil: story => change(story.messages, 0, { deleted: true }), problem: /another content, deleted in the history/ },
  { title: 'another read model that differs', spoil: () => ({ folded: [{ what: 'counts', room_id: ROOM, rows: [4], fold: events => [events.length] }] }), problem: /counts of room room-1 differs from the log folded at row 0: 4 instead of 5/ },
  { title: 'a checkpoint off the chain', spoil: () => ({ checkpoints: [{ projection: 'history', room_id: ROOM, seq: 5, chain: NO_CHAIN }] }), problem: /the checkpoint of history in room room-1 is at seq 5 chain 0+, which the log does not have/ },
  { title: 'a checkpoint behind', spoil: story => ({ checkpoints: [{ projection: 'history', room_id: ROOM, seq: 4, chain: story.log[3]!.chain }], expectAllProjected: true }), problem: /the checkpoint of history in room room-1 is at seq 4, the head is 5/ },
]

t.test('a history with a defect is refused and the defect is named', async t => {
  for (const { title, spoil, problem } of defects) {
    const { ok, problems } = tell(spoil)
    t.notOk(ok, title)
    t.ok(problems.some(sentence => problem.test(sentence)), `${title} is named`, { problems })
  }
})

t.test('a subscriber that is cut goes on where it ended, or where it says', async t => {
  const log = makeLog(8)
  const frames = log.map(entry => frameOf(ROOM, entry))
  const judge = (act: (bob: ReturnType<Checker['subscriber']>) => void) => {
    const checker = createChecker()
    const bob = checker.subscriber('bob')
    bob.subscribed(ROOM, { seq: 0 })
    frames.slice(0, 4).forEach(bob.frame)
    bob.cut()
    act(bob)
    return checker.judge({ logs: new Map([[ROOM, log]]), expectAllDelivered: true }).problems.join('; ')
  }
  const last = log[3]!
  t.equal(judge(bob => { bob.subscribed(ROOM, last); frames.slice(4).forEach(bob.frame) }), '')
  t.equal(judge(bob => { bob.subscribed(ROOM, log[1]!); frames.slice(2).forEach(bob.frame) }), '', 'an older position brings events again')
  t.equal(judge(bob => { frames.slice(4).forEach(bob.frame) }), '')
  t.equal(judge(bob => { bob.resumedAll(); frames.slice(2).forEach(bob.frame) }), '', 'from a mark of the server')
  t.match(judge(bob => { frames.slice(5).forEach(bob.frame) }), /got seq 6 of room room-1 where 5 was due/)
  t.match(judge(bob => { bob.resumedAll(); frames.slice(5).forEach(bob.frame) }), /got seq 6 of room room-1 where 5 was due/)
  t.match(judge(bob => { bob.resumedAll(); bob.frame({ type: 'live', room_id: ROOM, seq: 8, chain: log[7]!.chain }) }), /told live at seq 8 of room room-1 where 5 was due/)
  t.match(judge(bob => { bob.subscribed(ROOM, last); frames.slice(3).forEach(bob.frame) }), /got seq 4 of room room-1 twice/)
  t.match(judge(bob => { bob.subscribed(ROOM, { ...last, chain: NO_CHAIN }); frames.slice(4).forEach(bob.frame) }), /resumed from seq 4 chain 0+ of room room-1, which the log does not have/)
  t.match(judge(() => {}), /bob reached seq 4 of room room-1, whose head is 8/, 'who never came back has not got it all')
  t.equal(judge(bob => bob.gone()), '', 'unless nobody waits for it')
  t.equal(judge(bob => bob.unsubscribed(ROOM)), '')
  t.match(judge(bob => { bob.unsubscribed(ROOM); bob.frame(frames[4]!) }), /got seq 5 of room room-1 after it had unsubscribed/)
})

t.test('what a reset declared void is not held against anyone, and what follows it is', async t => {
  const log = makeLog(6)
  // Two histories that share the first three events.
  const lost = [...makeLog(3), ...makeLog(5, event => event, '-lost').slice(3)]
  for (let i = 3; i < 5; i++) change(lost, i, { chain: nextChain(lost[i - 1]!.chain, lost[i]!.event_id) })
  const judge = (reset: Frame | undefined, from: number) => {
    const checker = createChecker()
    const bob = checker.subscriber('bob')
    bob.subscribed(ROOM, { seq: 0 })
    for (const entry of lost) bob.frame(frameOf(ROOM, entry))
    bob.cut()
    bob.subscribed(ROOM, lost[4]!)
    if (reset) bob.frame(reset)
    for (const entry of log.slice(from)) bob.frame(frameOf(ROOM, entry))
    return checker.judge({ logs: new Map([[ROOM, log]]), expectAllDelivered: true })
  }
  const reset = { type: 'reset', reason: 'parted', room_id: ROOM, seq: 3, chain: log[2]!.chain }
  const good = judge(reset, 3)
  t.strictSame(good.problems, [])
  t.match(good.counted, { resets: 1, voided: 2, delivered: 8 })
  t.match(judge({ ...reset, seq: 0, chain: NO_CHAIN }, 0).problems, [], 'back to the beginning')
  t.match(judge(reset, 4).problems.join(), /got seq 5 of room room-1 where 4 was due/)
  t.match(judge(undefined, 5).problems.join(), /resumed from seq 5 chain .* which the log does not have.*got seq 4 .* with another chain, event_id/)
})

t.test('a subscriber that joined live owes nothing before and everything after', async t => {
  const log = makeLog(4)
  const judge = (frames: Frame[], announced = true) => {
    const checker = createChecker()
    const bob = checker.subscriber('bob')
    const ann = checker.subscriber('ann')
    const say = (n: number) => { ann.sent({ room_id: ROOM, client_id: `key-${n}`, content: `text ${n}` }); ann.acked(ackOf(log[n - 1]!)) }
    say(1)
    say(2)
    if (announced) bob.subscribed(ROOM, 'live')
    say(3)
    say(4)
    frames.forEach(bob.frame)
    return checker.judge({ logs: new Map([[ROOM, log]]), expectAllDelivered: true })
  }
  const frames = log.map(entry => frameOf(ROOM, entry))
  t.strictSame(judge(frames.slice(2)).problems, [])
  t.strictSame(judge(frames.slice(1)).problems, [], 'what was on its way may come too')
  t.match(judge(frames.slice(3)).problems, [/bob began room room-1 at seq 4, though 3 was sent after it had subscribed/])
  t.match(judge([]).problems, [/bob got nothing of room room-1, though seq 3 was sent after it had subscribed/])
  t.match(judge([{ type: 'live', room_id: ROOM, seq: 4, chain: log[3]!.chain }]).problems, [/bob began room room-1 at seq 5, though 3/])
  t.strictSame(judge(frames.slice(3), false).problems, [], 'a subscription that nobody announced begins with its first frame')
})

t.test('what was sent again, or refused first, has no place in the order of its session', async t => {
  const log = makeLog(3)
  const judge = (act: (checker: Checker) => void) => {
    const checker = createChecker()
    for (const n of [2, 1, 3]) checker.sent({ session: 's', room_id: ROOM, client_id: `key-${n}` })
    act(checker)
    return checker.judge({ logs: new Map([[ROOM, log]]) })
  }
  t.match(judge(() => {}).problems, [/session s sent key-2 before key-1/])
  t.ok(judge(checker => checker.refused({ room_id: ROOM, client_id: 'key-2', code: 'unavailable' })).ok)
  t.ok(judge(checker => checker.sent({ session: 's2', room_id: ROOM, client_id: 'key-2' })).ok)
  const again = judge(checker => { checker.acked({ ...ackOf(log[1]!), duplicate: true }); checker.acked(ackOf(log[0]!)) })
  t.ok(again.ok)
  t.match(again.counted, { acked: 2, duplicates: 1, sent: 3 })
})

t.test('edits, deletions and reactions fold as the design says', async t => {
  const user = 'user-bob'
  const events: object[] = [
    { type: 'message', content: 'one' }, { type: 'message', content: 'two', reply_to: 1 }, { type: 'join' },
    { type: 'edit', message_seq: 1, content: 'one, edited' }, { type: 'reaction', message_seq: 1, emoji: '👍', added: true },
    { type: 'reaction', message_seq: 1, emoji: '👍', added: true, user_id: user }, { type: 'reaction', message_seq: 1, emoji: '👍', added: false },
    { type: 'delete', message_seq: 2 }, { type: 'edit', message_seq: 2, content: 'too late' }, { type: 'edit', message_seq: 99, content: 'nowhere' }]
  const log = makeLog(events.length, ({ user_id, timestamp }, seq) => ({ user_id, timestamp, ...events[seq - 1] }))
  const rows: HistoryRow[] = [
    { seq: '1', event_id: 'event-1', user_id: ANN, content: 'one, edited', timestamp: new Date(time(1)), edited_at: new Date(time(4)), deleted: false, client_id: null, reply_to: null, reactions: { '👍': [user] } },
    { seq: '2', event_id: 'event-2', user_id: ANN, content: '', timestamp: new Date(time(2)), deleted: true, reply_to: '1' }]
  const judge = (...messages: HistoryRow[]) => createChecker().judge({ logs: new Map([[ROOM, log]]), messages: new Map([[ROOM, messages]]) }).problems
  t.strictSame(judge(...rows), [])
  t.match(judge({ ...rows[0]!, reactions: {} }, rows[1]!), [/seq 1 .* another reactions/])
  t.match(judge(rows[0]!, { ...rows[1]!, deleted: false, content: 'too late' }), [/seq 2 .* another content, deleted/])
  t.match(judge({ ...rows[0]!, edited_at: null }, rows[1]!), [/seq 1 .* another edited_at/])
})

t.test('a run that goes wrong a thousand times is told in a few sentences', async t => {
  const checker = createChecker()
  const log = makeLog(1000)
  const bob = checker.subscriber('bob')
  for (const entry of log) { bob.frame(frameOf(ROOM, entry)); bob.frame(frameOf(ROOM, entry)) }
  const early = checker.judge({ logs: new Map([[ROOM, log]]) })
  t.equal(early.problems.length, 11)
  t.equal(early.problems[10], 'and 990 more like it (twice)')
  t.strictSame(early.counted.problems, { twice: 1000 })
  t.strictSame(checker.judge({ logs: new Map([[ROOM, log]]) }), early, 'a judgement can be asked for again')
  t.equal(checker.subscriber('bob'), bob, 'a name is one subscriber')
})
