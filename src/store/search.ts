/**
 * Full-text search in the read model `search`: where the hits are. What they say now is read from the room itself by the caller,
 * who also says in which rooms to look: nobody is asked here whether the reader may [G9].
 *
 * Hits come in runs of the newest `RANKED_MAX`, the best of a run first, then the run of those before. A run is a range of places,
 * fixed when its first page is read; so pages neither repeat nor skip while messages come in.
 *
 * Bounded: the newest `WINDOW_ROWS` messages are looked through one by one, which finds a full run of common words at once. If it does
 * not, either the newest `WIDE_ROWS` are, up to the last hit of the run, or the words are looked up in the index, which has all their hits
 * to fetch, from the first message on: what is likely to cost less, so only rare words are looked up. A statement that takes
 * longer than `SEARCH_MS` all the same is given up. Measured in 1,000,000 messages on two busy cores: see `docs/adr/0010-search.md`.
 */
import { START, type Position } from '../domain/position.ts'
import { facetOf, tsqueryOf, wholeWordsOf, type Search } from '../domain/search.ts'
import { sqlStateOf, type Queryable, type Store } from './pool.ts'

/** Name and version under which the checkpoints of search are kept. */
export const SEARCH = 'search_v1'
/** Hits that are ranked against each other. */
export const RANKED_MAX = 100
const WINDOW_ROWS = 2000
const WIDE_ROWS = 100_000
/** What fetching a hit of the index costs, in messages looked through one by one: more where words are gathered beside it that only begin as asked. */
const HIT_COST = 1.7
const HIT_COST_BESIDE = 4
/** Matches of the whole words among `WINDOW_ROWS`, up to which the beginning of another is not looked up: the index would gather all that begin like that. */
const RARE_MATCHES = 15
const SEARCH_MS = 2000
/** Up to here rooms are looked up in the index together with the words; of more, hits are filtered. */
const ROOMS_INDEXED_MAX = 16

/** Where a hit is in the order of time: in one room its seq comes first, in several its time in epoch milliseconds. */
export type Key = readonly [at: number, roomId: string, seq: number]

/** Where a page begins: within the places of the run from `to` up to but without `before`, after what was shown of it last. */
export interface SearchCursor {
  readonly before?: Key
  readonly to?: Key
  readonly after?: readonly [rank: number, ...key: Key]
}

export interface Hit {
  readonly room_id: string
  readonly seq: number
  readonly rank: number
}

export interface SearchQuery {
  readonly search: Search
  /** Where to look: in each room at messages with seq > `from` only. */
  readonly rooms: ReadonlyArray<{ readonly room_id: string, readonly from: number }>
  /** IDs of those whom the search names; none of them: nothing is found. */
  readonly authors: readonly string[] | undefined
  readonly cursor: SearchCursor
  readonly limit: number
}

export interface HitPage {
  readonly hits: Hit[]
  readonly next: SearchCursor | null
}

/** There is too much to look through. */
export class SearchTooWide extends Error {
  override name = 'SearchTooWide'
}

/** Up to where the messages of a room can be found. To be asked before searching: then no less is. */
export async function searchedUpTo (db: Queryable, roomId: string): Promise<Position> {
  const { rows: [row] } = await db.query<Position>({
    name: 'searched_up_to',
    text: `
    SELECT seq, chain
      FROM checkpoints
     WHERE projection = (SELECT live_group($1))
       AND room_id = $2`,
    values: [SEARCH, roomId],
  })
  return row ?? START
}

type Ranked = Hit & { readonly key: Key }

/** Throws SearchTooWide. */
export async function searchHits (store: Store, query: SearchQuery): Promise<HitPage> {
  const { rooms, authors, cursor, limit } = query
  if (rooms.length === 0 || authors?.length === 0) return { hits: [], next: null }
  const run = await newestRun(store, query)
  const full = cursor.to !== undefined || run.length >= RANKED_MAX
  // Of a run that was begun, `to` is where it ends; a new one ends at its oldest hit.
  const to = cursor.to ?? (full ? run.at(-1)!.key : undefined)
  const before = cursor.before ?? beyond(run[0]?.key)
  const { after } = cursor
  const rest = run.sort(byRank).filter(hit => after === undefined || byRank({ rank: after[0], key: [after[1], after[2], after[3]] }, hit) < 0)
  const shown = rest.slice(0, limit)
  const hits = shown.map(({ room_id, seq, rank }) => ({ room_id, seq, rank }))
  const last = shown.at(-1)
  if (rest.length > limit && last !== undefined) return { hits, next: { ...(before && { before }), ...(to && { to }), after: [last.rank, ...last.key] } }
  return { hits, next: to === undefined ? null : { before: to } }
}

const byKey = (a: Key, b: Key): number => b[0] - a[0] || (a[1] < b[1] ? 1 : a[1] > b[1] ? -1 : 0) || b[2] - a[2]
/** The best first, of equals the newest. */
const byRank = (a: { rank: number, key: Key }, b: { rank: number, key: Key }): number => b.rank - a.rank || byKey(a.key, b.key)

/** The place after this one. */
const beyond = (key: Key | undefined): Key | undefined => key && [key[0], key[1], key[2] + 1]

/** The newest hits before the cursor, newest first. */
async function newestRun (store: Store, query: SearchQuery): Promise<Ranked[]> {
  try {
    return await store.transaction(async tx => {
      // Plans are made for these very words, and without reading whole tables or compiling, which a wrong guess can lead to.
      await tx.query(`SET LOCAL statement_timeout = ${SEARCH_MS}; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off; SET LOCAL enable_seqscan = off`)
      const { hits, looked, matches, whole, total } = await inWindow(tx, query)
      if (hits.length >= RANKED_MAX || looked < WINDOW_ROWS) return hits
      // Up to the last hit of the run, if it goes on as among the newest; and all hits there are, likewise.
      const toLookThrough = Math.min(WIDE_ROWS, WINDOW_ROWS * RANKED_MAX / hits.length)
      const toFetch = total * matches / WINDOW_ROWS
      if (toLookThrough < toFetch * (whole === null ? HIT_COST : HIT_COST_BESIDE)) {
        const wide = await ranked(tx, wideStatement(query))
        if (wide.length >= RANKED_MAX) return wide
      }
      return await ranked(tx, indexStatement(query, { wholeOnly: whole !== null && whole <= RARE_MATCHES }))
    })
  } catch (error) {
    if (sqlStateOf(error) === '57014') throw new SearchTooWide(`the search took longer than ${SEARCH_MS} ms`, { cause: error })
    throw error
  }
}

interface Looked {
  readonly looked: number
  readonly matches: number
  readonly whole: number | null
  /** Messages that can be found at all, by the last count of Postgres' own. */
  readonly total: number
}

interface Row { readonly room_id: string, readonly seq: number, readonly at: number, readonly rank: number }
const rankedOf = ({ room_id, seq, at, rank }: Row): Ranked => ({ room_id, seq, rank, key: [at, room_id, seq] })

async function inWindow (tx: Queryable, query: SearchQuery): Promise<Looked & { readonly hits: Ranked[] }> {
  const { text, values } = windowStatement(query)
  const { rows } = await tx.query<Looked & Row & { room_id: string | null }>(text, values)
  const { looked = 0, matches = 0, whole = null, total = 0 } = rows[0] ?? {}
  return { looked, matches, whole, total, hits: rows.flatMap(row => row.room_id === null ? [] : [rankedOf(row)]) }
}

async function ranked (tx: Queryable, { text, values }: Statement): Promise<Ranked[]> {
  return (await tx.query<Row>(text, values)).rows.map(rankedOf)
}

interface Statement { readonly text: string, readonly values: unknown[] }

/**
 * Looks through the newest messages, of the room or of all. Says how many there were, how many of them match in any room, and how many their
 * whole words alone (null where that is the same, or there are none).
 */
export function windowStatement (query: SearchQuery): Statement {
  const { places, order, hit, mine, at, whole, values } = partsOf(query)
  return {
    values,
    text: `
    WITH newest AS MATERIALIZED (
         SELECT room_id, seq, user_id, timestamp, words, ${hit} AS matches, words @@ $${values.push(whole ?? null)}::tsquery AS whole
           FROM search_messages AS message
          WHERE ${places}
          ORDER BY ${order}
          LIMIT ${WINDOW_ROWS}
    ), hit AS (
         SELECT room_id, seq, ${at} AS at, ${RANK} AS rank
           FROM newest AS message
          WHERE matches
            AND ${mine}
          ORDER BY ${order}
          LIMIT ${RANKED_MAX}
    )
    SELECT looked, counted.matches, counted.whole, hit.*,
           (SELECT sum(greatest(reltuples, 0)) FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'search_messages'::regclass) AS total
      FROM (SELECT count(*) AS looked, count(*) FILTER (WHERE matches) AS matches, CASE WHEN bool_or(whole) IS NOT NULL THEN count(*) FILTER (WHERE whole) END AS whole FROM newest) AS counted
      LEFT JOIN hit ON true
     ORDER BY at DESC, room_id DESC, seq DESC`,
  }
}

/** Looks through more of them, in their order, and stops at the last hit of the run. */
export function wideStatement (query: SearchQuery): Statement {
  const { places, order, hit, mine, at, values } = partsOf(query)
  return {
    values,
    text: `
    SELECT room_id, seq, ${at} AS at, ${RANK} AS rank
      FROM (SELECT room_id, seq, user_id, timestamp, words
              FROM search_messages AS message
             WHERE ${places}
             ORDER BY ${order}
             LIMIT ${WIDE_ROWS}) AS message
     WHERE ${mine}
       AND ${hit}
     ORDER BY ${order}
     LIMIT ${RANKED_MAX}`,
  }
}

/**
 * Looks the words up. All hits are gathered before they are sorted: with the bound in sight, the planner may walk through time instead. Only
 * their places are, and the words of those that are ranked are read again: keeping all words costs more than finding them. `OFFSET 0` keeps the
 * planner from guessing at the share of hundreds of rooms in each partition, which takes longer than many a search.
 * @param wholeOnly looks up the whole words alone, and looks at each message that has them for the rest
 */
export function indexStatement (query: SearchQuery, { wholeOnly = false } = {}): Statement {
  const { places, order, hit, mine, at, whole, values } = partsOf(query)
  // What is tested for being true is not looked up.
  const found = wholeOnly && whole !== undefined ? `words @@ $${values.push(whole)}::tsquery AND (${hit}) IS TRUE` : hit
  const facets = facetsOf(query.rooms)
  const inRooms = facets === null
    ? ''
    : `
            AND words @@ $${values.push(facets)}::tsquery`
  return {
    values,
    text: `
    WITH hit AS MATERIALIZED (
         SELECT room_id, seq, timestamp
           FROM (SELECT room_id, seq, timestamp
                   FROM search_messages AS message
                  WHERE ${found}${inRooms}
                    AND ${places}
                 OFFSET 0) AS message
          WHERE ${mine}
    )
    SELECT room_id, seq, ${at} AS at, ${RANK} AS rank
      FROM (SELECT * FROM hit ORDER BY ${order} LIMIT ${RANKED_MAX}) AS newest
      JOIN (SELECT room_id, seq, words FROM search_messages) AS message USING (room_id, seq)
     ORDER BY ${order}`,
  }
}

/** Longer texts count less. Of filters alone, all are equal. */
const RANK = 'CASE WHEN $3::text IS NULL THEN 0 ELSE ts_rank_cd(words, $3::tsquery, 1)::float8 END'
const EPOCH_MS = '(extract(epoch FROM timestamp) * 1000)::bigint'

function partsOf ({ search, rooms, authors, cursor }: SearchQuery): { places: string, order: string, hit: string, mine: string, at: string, whole: string | undefined, values: unknown[] } {
  const words = tsqueryOf(search)
  const whole = wholeWordsOf(search)
  const values: unknown[] = [rooms.map(({ room_id }) => room_id), tsqueryWith(search, words, authors), words ?? null]
  const parameter = (value: unknown): string => `$${values.push(value)}`
  const [room, ...others] = rooms
  const one = others.length === 0 ? room : undefined
  const places: string[] = one === undefined ? [] : [`message.room_id = ${parameter(one.room_id)}::uuid`]
  const keyed = (key: Key | undefined, than: '<' | '>='): void => {
    if (key === undefined) return
    const [at, roomId, seq] = key
    if (one === undefined) places.push(`(message.timestamp, message.room_id, message.seq) ${than} (${parameter(new Date(at))}::timestamptz, ${parameter(roomId)}::uuid, ${parameter(seq)}::bigint)`)
    else places.push(`message.seq ${than} ${parameter(seq)}::bigint`)
  }
  keyed(cursor.before, '<')
  keyed(cursor.to, '>=')
  if (search.since !== undefined) places.push(`message.timestamp >= ${parameter(new Date(search.since))}::timestamptz`)
  if (search.until !== undefined) places.push(`message.timestamp < ${parameter(new Date(search.until))}::timestamptz`)
  const hit = ['words @@ $2::tsquery', ...authors === undefined ? [] : [`message.user_id = ANY (${parameter(authors)}::uuid[])`]]
  const late = rooms.filter(({ from }) => from > 0)
  const mine = ['message.room_id = ANY ($1::uuid[])', ...late.length === 0 ? [] : [`message.seq > coalesce((${parameter(JSON.stringify(Object.fromEntries(late.map(({ room_id, from }) => [room_id, from]))))}::jsonb ->> message.room_id::text)::bigint, 0)`]]
  return {
    places: places.length === 0 ? 'true' : places.join(' AND '),
    order: one === undefined ? 'timestamp DESC, room_id DESC, seq DESC' : 'seq DESC',
    hit: hit.join(' AND '),
    mine: mine.join(' AND '),
    at: one === undefined ? EPOCH_MS : 'seq',
    whole: whole && tsqueryWith(whole, tsqueryOf(whole), authors),
    values,
  }
}

const anyOf = (facets: readonly string[]): string => `(${facets.map(facet => `'${facet}'`).join(' | ')})`

/** The rooms, for the index; null where there are too many. */
function facetsOf (rooms: SearchQuery['rooms']): string | null {
  return rooms.length > ROOMS_INDEXED_MAX ? null : anyOf(rooms.map(({ room_id }) => facetOf.room(room_id)))
}

/** The words with everything else that the index knows of a message. */
function tsqueryWith ({ has }: Search, words: string | undefined, authors: SearchQuery['authors']): string {
  return [
    ...words === undefined ? [] : [`(${words})`],
    ...has.map(name => `'${facetOf.has(name)}'`),
    ...authors === undefined ? [] : [anyOf(authors.map(facetOf.user))],
  ].join(' & ')
}
