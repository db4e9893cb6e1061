// Plans of what readers ask for, in tables that have grown: none reads a table from its beginning to its end, whether it was planned for these
// very values or for any. Those of search, which plans for itself, are in search.test.ts.
import t, { type Test } from 'tap'
import { randomUUID } from 'node:crypto'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { chainOf } from '../../src/log/chain.ts'
import { decodeEvent } from '../../src/log/codec.ts'
import { migrate } from '../../src/store/migrate.ts'
import { audiencesOf } from '../../src/store/audience.ts'
import { auditPage } from '../../src/store/audit.ts'
import { messagePage, type MessageQuery } from '../../src/store/history.ts'
import { mentionsOf } from '../../src/store/mentions.ts'
import { HAS } from '../../src/store/messages.ts'
import { pinsPage } from '../../src/store/pins.ts'
import { openStore, type Queryable } from '../../src/store/pool.ts'
import { publicRooms, roomIdsOf, roomsOf } from '../../src/store/rooms.ts'
import { countsAfter, marksOf } from '../../src/store/unread.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { testPostgres } from '../dev/servers.ts'

const ROOMS = 20_000
/** Rooms in which something was said, and how much in each. */
const TALKED_IN = 300
const MESSAGES = 150
/** Tables that grow with rooms, members or messages. Their partitions end in a number. */
const GROW = /^(events|messages|message_edits|message_mentions|reactions|pins|deleted_tallies|mentions|marks|members|rooms|room_preferences|checkpoints|users)(_\d+)?$/

const logger = createLogger({ level: 'silent', role: 'test' })
const postgres = await testPostgres(t)
const store = await openStore({ url: await postgres.createDatabase(), max: 2, name: 'test', log: logger })
t.teardown(async () => { await store.close() })
await migrate({ store, log: logger })

const rooms = [LOBBY_ID, ...Array.from({ length: ROOMS - 1 }, () => randomUUID())]
const users = Array.from({ length: 20_000 }, () => randomUUID())
const [me] = users as [string]
await fill()

async function fill (): Promise<void> {
  const values = [rooms, users]
  const room = 'unnest($1::uuid[]) WITH ORDINALITY AS room (id, r)'
  const talk = `(SELECT * FROM ${room} WHERE r <= ${TALKED_IN}) AS room`
  const user = 'unnest($2::uuid[]) WITH ORDINALITY AS person (id, u)'
  const inside = '(r + u) % 50 = 0 AND u <= 200 AND r <= 3000'
  const author = '($2::uuid[])[1 + (n + r) % 200]'
  for (const text of [
    `INSERT INTO users (id, username, username_key, display_name, kind, created_at) SELECT id, 'u' || u, 'u' || u, 'u', 'guest', '2026-11-20' FROM ${user} WHERE $1::uuid[] IS NOT NULL`,
    `INSERT INTO rooms (id, kind, name, topic, history, last_seq, messages, member_count) SELECT id, CASE WHEN r = 1 THEN 'lobby' WHEN r % 3 = 0 THEN 'public' ELSE 'private' END, 'room ' || r, '', 'all', ${MESSAGES + 1}, ${MESSAGES}, 20 FROM ${room} WHERE $2::uuid[] IS NOT NULL`,
    `INSERT INTO members (room_id, user_id, role, joined_seq) SELECT room.id, person.id, 'member', 1 FROM ${room}, ${user} WHERE (${inside}) OR (u = 1 AND r <= 3000)`,
    `INSERT INTO messages (room_id, seq, message_no, author_no, event_id, user_id, content, timestamp, thread, mentions, attachments, reacted)
     SELECT id, n + 1, n, n, gen_random_uuid(), ${author}, CASE WHEN n % 20 = 0 THEN 'https://x.y' ELSE 'hello' END, timestamptz '2026-11-20' + n * interval '1 minute', CASE WHEN n % 9 = 0 THEN 2 END, CASE WHEN n % 50 = 0 THEN ARRAY[$2[1]] END, CASE WHEN n % 40 = 0 THEN '[]'::json END, n % 25 = 0
       FROM ${talk}, generate_series(1, ${MESSAGES}) AS n`,
    `INSERT INTO events (room_id, seq, chain, event_id, user_id, type, v, timestamp, data) SELECT id, n, '0123456789abcdef', gen_random_uuid(), ${author}, CASE WHEN n % 30 = 0 THEN 'join' ELSE 'message' END, 1, now(), '{"type":"join","user_id":"x","timestamp":"2026-11-20T10:00:00.000Z"}' FROM ${talk}, generate_series(1, ${MESSAGES + 1}) AS n`,
    `INSERT INTO reactions (room_id, message_seq, emoji, user_id, seq) SELECT id, n + 1, 'x', ${author}, n + 2 FROM ${talk}, generate_series(1, ${MESSAGES}) AS n`,
    `INSERT INTO pins (room_id, message_seq, seq, pinned_by, pinned_at) SELECT id, n + 1, n + 2, ${author}, now() FROM ${talk}, generate_series(1, ${MESSAGES}, 5) AS n`,
    `INSERT INTO deleted_tallies (room_id, author_id, shift, block, deleted) SELECT id, CASE WHEN n % 2 = 0 THEN ${author} ELSE '00000000-0000-0000-0000-000000000000' END, 0, n, 1 FROM ${talk}, generate_series(1, ${MESSAGES}, 5) AS n`,
    `INSERT INTO message_mentions (room_id, user_id, seq, author_id) SELECT id, ${author}, n, $2[2] FROM ${talk}, generate_series(1, ${MESSAGES}, 5) AS n`,
    `INSERT INTO mentions (room_id, seq, user_id, named_at) SELECT id, n, CASE WHEN n % 2 = 0 THEN ${author} ELSE '00000000-0000-0000-0000-000000000000' END, timestamptz '2026-11-20' + n * interval '1 minute' FROM ${talk}, generate_series(1, ${MESSAGES}, 5) AS n`,
    `INSERT INTO marks (room_id, user_id, kind, device, seq, at) SELECT room.id, person.id, kind, CASE kind WHEN 'read' THEN '' ELSE 'phone' END, 20, now() FROM ${room}, ${user}, unnest(ARRAY['read', 'delivered']) AS kind WHERE ${inside}`,
    `INSERT INTO room_preferences (user_id, room_id, level) SELECT person.id, room.id, 'all' FROM ${room}, ${user} WHERE ${inside}`,
    `INSERT INTO checkpoints (projection, room_id, partition, seq, chain) SELECT projection, id, 1, ${MESSAGES + 1}, '0123456789abcdef' FROM ${room}, unnest(ARRAY['archive_v1', 'history_v1', 'mentions_v1', 'search_v1']) AS projection WHERE $2::uuid[] IS NOT NULL`,
  ]) await store.query(text, values)
  await store.query('VACUUM (ANALYZE)')
}

interface Node { readonly 'Node Type': string, readonly 'Relation Name'?: string, readonly Plans?: Node[] }
const nodes = (plan: Node): Node[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)]
interface Statement { readonly name?: string, readonly text: string, readonly values: unknown[] }

/** What `ask` has Postgres do reads no table that grows from its beginning to its end. */
async function planned (t: Test, what: string, ask: (db: Queryable) => Promise<unknown>): Promise<void> {
  const asked: Statement[] = []
  const query = async (text: string | Statement, values: unknown[] = []): Promise<unknown> => {
    const statement = typeof text === 'string' ? { text, values } : text
    asked.push(statement)
    return await store.query(statement)
  }
  await ask({ query } as never)
  t.ok(asked.length > 0, what)
  for (const { name = what, text, values } of asked) {
    for (const [mode, explain, given] of [['for these values', 'FORMAT JSON', values], ['for any values', 'GENERIC_PLAN, FORMAT JSON', undefined]] as const) {
      const { rows: [row] } = await store.query({ text: `EXPLAIN (${explain}) ${text}`, ...given === undefined ? {} : { values: given } })
      const [{ Plan }] = typeof row['QUERY PLAN'] === 'string' ? JSON.parse(row['QUERY PLAN']) : row['QUERY PLAN']
      t.same(nodes(Plan).filter(node => node['Node Type'] === 'Seq Scan' && GROW.test(node['Relation Name'] ?? '')).map(node => node['Relation Name']), [], `${what}, ${name}, ${mode}`)
    }
  }
}

const log = { read: async () => [], deletedAfter: async () => new Set<number>() }
const reads = (store: Queryable) => ({ store, log, decode: decodeEvent, chainOf })
const room_id = rooms[7]!
const head = MESSAGES + 1
const pairs = rooms.slice(0, 20).map(room_id => ({ room_id, user_id: me }))

t.test('unread counts, and what a device was not delivered', async t => {
  for (const mark of [{ kind: 'read' }, { kind: 'delivered', device: 'phone' }] as const) await planned(t, mark.kind, async db => await marksOf(db, mark, pairs))
  for (const place of [0, 60, head - 1]) await planned(t, `counts after ${place}`, async db => await countsAfter(reads(db), pairs.map(pair => ({ ...pair, place, head, at: { seq: head, chain: '0123456789abcdef' } }))))
  for (const view of ['unread_counts', 'offline_queue']) await planned(t, view, async db => await db.query(`SELECT * FROM ${view} WHERE user_id = $1 AND room_id = $2`, [users[3], rooms[6]]))
})

t.test('pages of history, whatever is asked for', async t => {
  const also: Array<Partial<MessageQuery>> = [{}, { user_id: me }, { thread: 2 }, ...HAS.map(has => ({ has }))]
  for (const where of [{}, { before: 100 }, { after: 50 }, { around: 75 }]) {
    for (const more of also) await planned(t, JSON.stringify({ ...where, ...more }), async db => await messagePage(reads(db), { room_id, limit: 20, ...where, ...more }))
  }
  await planned(t, 'pins', async db => await pinsPage(reads(db), { room_id, limit: 20 }))
  await planned(t, 'audit', async db => await auditPage(reads(db), { room_id, limit: 20 }))
})

t.test('mentions, lists of rooms, and who is told of somebody', async t => {
  const mine = rooms.slice(0, 20).map(room_id => ({ room_id, joined_seq: 1 }))
  await planned(t, 'mentions', async db => await mentionsOf(db, me, mine, { before: undefined, limit: 20 }))
  await planned(t, 'mentions before', async db => await mentionsOf(db, me, mine, { before: { at: Date.UTC(2026, 10, 20, 1), room_id, seq: 40 }, limit: 20 }))
  await planned(t, 'rooms of one', async db => await roomsOf(db, users[5]!, { limit: 20 }))
  await planned(t, 'room ids of one', async db => await roomIdsOf(db, users[5]!, 20))
  await planned(t, 'directory', async db => await publicRooms(db, undefined, { limit: 20 }))
  await planned(t, 'audience', async db => await audiencesOf(db, [users[5]!]))
})
