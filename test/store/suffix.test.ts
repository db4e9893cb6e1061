// Reads of a read model that is behind: whatever it has of the log, the answers are those of one that has it all.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { createApplier } from '../../projections/apply.ts'
import { openCheckpoints } from '../../projections/checkpoint.ts'
import { groupOf } from '../../projections/projection.ts'
import { readOn } from '../../src/http/events.ts'
import { chainOf } from '../../src/log/chain.ts'
import { decodeEvent, type LogEvent } from '../../src/log/codec.ts'
import { logEventOf } from '../../src/log/entries.ts'
import { START } from '../../src/domain/position.ts'
import { auditPage } from '../../src/store/audit.ts'
import { editsPage } from '../../src/store/edits.ts'
import { messageAt, messagePage } from '../../src/store/history.ts'
import { membersPage } from '../../src/store/members.ts'
import { HAS } from '../../src/store/messages.ts'
import { pinsPage } from '../../src/store/pins.ts'
import type { LogReads } from '../../src/store/suffix.ts'
import { anyEvent } from '../projections/any-event.ts'
import { archive, createWorld, history, logger, type World } from '../projections/feed.ts'
import { naiveHistory } from '../projections/naive.ts'

const NOW = Date.UTC(2026, 10, 20, 12)
const LIMITS = [3, 200]

function readsOf ({ store, log }: World): LogReads {
  const read = async (room: string, after: number, limit: number): Promise<LogEvent[]> => await readOn({ store, log }, room, after, limit, (await log.heads([room])).heads.get(room)?.seq ?? 0)
  return { store, log: { read, deletedAfter: log.deletedAfter }, decode: decodeEvent, chainOf }
}

/** Every page of a list, from its first to its last. */
async function pages<C> (page: (cursor: C | undefined) => Promise<{ items: unknown[], next: C | null, as_of: object }>): Promise<unknown[]> {
  const all: unknown[] = []
  for (let cursor: C | undefined; ;) {
    const { items, next, as_of } = await page(cursor)
    all.push(items, as_of)
    if (next === null) return all
    cursor = next
  }
}

/** All that can be read of a room. */
async function everything (world: World, room_id: string, kind: 'public' | 'lobby', users: readonly string[], from: number): Promise<Record<string, unknown>> {
  const reads = readsOf(world)
  const answers: Record<string, unknown> = {}
  for (const limit of LIMITS) {
    for (const has of [undefined, ...HAS]) {
      for (const user_id of has === undefined ? [undefined, users[1]] : [undefined]) {
        const query = { room_id, limit, from, has, user_id }
        answers[`back ${limit} ${has} ${user_id}`] = await pages<number>(async before => await messagePage(reads, { ...query, before }))
        answers[`forth ${limit} ${has} ${user_id}`] = await pages<number>(async (after = 0) => await messagePage(reads, { ...query, after }))
        answers[`around ${limit} ${has} ${user_id}`] = await messagePage(reads, { ...query, around: 8 })
      }
    }
    answers[`thread ${limit}`] = await pages<number>(async (after = 0) => await messagePage(reads, { room_id, limit, from, thread: 3, after }))
    answers[`pins ${limit}`] = await pages<number>(async before => await pinsPage(reads, { room_id, limit, from, before }))
    for (const role of [undefined, 'owner', 'moderator', 'member', 'banned'] as const) {
      answers[`members ${limit} ${role}`] = await pages<string>(async after => await membersPage(reads, { room_id, kind, limit, role, after, now: NOW }))
    }
    answers[`audit ${limit}`] = await pages<number>(async before => await auditPage(reads, { room_id, limit, from, before }))
  }
  for (let seq = 1; seq < 12; seq++) {
    answers[`one ${seq}`] = await messageAt(reads, { room_id, from, seq })
    answers[`edits ${seq}`] = await pages<number>(async after => await editsPage(reads, { room_id, message: seq, limit: 2, after }))
  }
  return answers
}

t.test('what can be read of a room is the same, however far the projections are', async t => {
  const world = await createWorld(t)
  const users = Array.from({ length: 4 }, () => randomUUID())
  for (const [i, id] of users.entries()) await world.store.query("INSERT INTO users (id, username, username_key, display_name, kind, created_at) VALUES ($1, $2, $2, $2, 'guest', '2026-01-01T00:00:00Z')", [id, `user${i}`])
  const first = ['hello', 'see https://x.y', 'a thread', 'hello', 'hello'].map((content, i) => ({ by: users[i % 2]!, body: { type: 'message' as const, content, ...(i === 3 ? { thread: 3 } : {}) } }))
  const log = fc.array(anyEvent(users, 5), { minLength: 25, maxLength: 50 }).map(events => [...first, ...events])

  await fc.assert(fc.asyncProperty(log, fc.constantFrom('public' as const, 'lobby' as const), fc.integer({ min: 10, max: 90 }), fc.constantFrom(0, 6), async (steps, kind, part, from) => {
    const room = randomUUID()
    await world.feed.put(room, users[0]!, [{ type: 'room', change: 'created', name: 'a room', kind, history: 'all' }], { create: true })
    const messages = new Set<number>()
    let seq = 1
    for (const { by, body } of steps) {
      if (body.type === 'delete' && !messages.has(body.message_seq)) continue
      seq++
      if (body.type === 'message') messages.add(seq)
      await world.feed.put(room, by, [body], { by: randomUUID() })
    }
    const raw = (await world.redis.xrange(world.keys.log(room), '-', '+')).map(logEventOf)
    const middle = Math.floor(part * raw.length / 100)
    const apply = async (first: number, end: number): Promise<void> => {
      if (first === end) return
      for (const projection of [history, archive]) {
        await openCheckpoints(world.store, groupOf(projection), [{ id: room, partition: world.keys.partitionOf(room) }])
        const [outcome] = await createApplier({ projection, store: world.store, logger }).apply([{ room_id: room, partition: world.keys.partitionOf(room), from: raw[first - 1] ?? START, entries: raw.slice(first, end), attempts: 0 }])
        assert.equal(outcome?.status, 'applied')
      }
    }
    await apply(0, middle)
    const behind = await everything(world, room, kind, users, from)
    await apply(middle, raw.length)
    assert.deepEqual(behind, await everything(world, room, kind, users, from))

    const model = naiveHistory(new Map([[room, raw]]))
    const shown = (await messagePage(readsOf(world), { room_id: room, limit: 200 })).items
    assert.deepEqual(shown.map(({ seq, content, deleted = false, edited_at = null }) => ({ seq, content, deleted, edited_at })), (model.messages as Array<Record<string, unknown>>).map(({ seq, content, deleted, edited_at }) => ({ seq, content, deleted, edited_at })))
    assert.deepEqual(shown.flatMap(({ seq, reactions }) => reactions.flatMap(({ emoji, user_ids }) => user_ids.map(user => `${seq} ${emoji} ${user}`))).sort(), (model.reactions as Array<Record<string, string>>).map(({ message_seq, emoji, user_id }) => `${message_seq} ${emoji} ${user_id}`).sort())
  }), { numRuns: 20 })
  t.pass('20 logs')
})
