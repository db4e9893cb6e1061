/**
 * What reads cost in Postgres: unread counts over 500 rooms, a page of history, a search, among a million messages with the words of
 * real logs. One reader, one query after the other, from the question to the answer; the log has nothing that the read models lack.
 * Millrace alone.
 */
import { history } from '../../projections/history.ts'
import type { RoomBatch } from '../../projections/projection.ts'
import { search } from '../../projections/search.ts'
import { START, type Position } from '../../src/domain/position.ts'
import { parseSearch } from '../../src/domain/search.ts'
import { uuidv7 } from '../../src/ids.ts'
import { chainOf } from '../../src/log/chain.ts'
import { decodeEvent, encodeEvent } from '../../src/log/codec.ts'
import { createKeys } from '../../src/log/keys.ts'
import { messagePage } from '../../src/store/history.ts'
import { openStore, type Store } from '../../src/store/pool.ts'
import { searchHits } from '../../src/store/search.ts'
import { countsAfter } from '../../src/store/unread.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import type { ScenarioContext } from '../main.ts'
import { PARTITIONS } from '../processes.ts'
import { atMost, row, type Result } from '../results.ts'
import { createSpeech, randomOf, type Random } from '../words.ts'

const BATCH_ROOMS = 20
const PAGE = 50
/** Out of a hundred messages. */
const DELETED = 1
const MENTIONING = 2

interface Seeded { readonly room_id: string, readonly head: Position }

export async function reads ({ stage, say, quick }: ScenarioContext): Promise<Pick<Result, 'title' | 'settings' | 'rows' | 'verdicts' | 'raw'>> {
  const settings = quick ? { rooms: 20, messages: 100, authors: 10, rounds: 1, queries: 20 } : { rooms: 500, messages: 2000, authors: 200, rounds: 3, queries: 300 }
  const { rooms, messages, authors, rounds, queries } = settings
  const server = await stage.millrace()
  const store = await openStore({ url: server.databaseUrl, max: 1, name: 'bench', log: createLogger({ level: 'silent', role: 'bench' }) })
  try {
    const random = randomOf(1)
    const speech = createSpeech(random)
    const people = Array.from({ length: authors }, uuidv7)
    const [reader] = people as [string]
    const began = performance.now()
    const seeded = await seed(store, { rooms, messages, people, random, say: speech.say })
    say(`${rooms * messages} messages in ${rooms} rooms after ${((performance.now() - began) / 1000).toFixed(1)} s, of words of ${speech.source}`)

    const any = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
    const log = { read: async () => [], deletedAfter: async () => new Set<number>() }
    const deps = { store, log, decode: decodeEvent, chainOf }
    const place = (head: number, share: number): number => Math.floor(head * share)
    const word = (): string => any(speech.say().split(/\s+/).filter(text => /^[a-z]{3,}$/i.test(text)).concat('ubuntu'))
    const everywhere = seeded.map(({ room_id }) => ({ room_id, from: 0 }))
    const find = async (text: string, rooms = everywhere, by?: string[]): Promise<void> => {
      const parsed = parseSearch(text)
      if (typeof parsed === 'string') throw new Error(`${text}: ${parsed}`)
      await searchHits(store, { search: parsed, rooms, authors: by, cursor: {}, limit: 20 })
    }
    const count = async (share: () => number): Promise<void> => { await countsAfter(deps, seeded.map(({ room_id, head }) => ({ room_id, user_id: reader, place: place(head.seq, share()), head: head.seq, at: head }))) }
    const kinds: Array<readonly [part: string, name: string, limit: number, ask: () => Promise<unknown>]> = [
      [`unread over ${rooms} rooms`, 'a few unread in a tenth of them', 10, async () => { await count(() => random() < 0.1 ? 0.99 : 1) }],
      [`unread over ${rooms} rooms`, 'half of everything unread in all', 10, async () => { await count(() => 0.25 + random() / 2) }],
      ['a page of history', `the newest ${PAGE}`, 10, async () => await messagePage(deps, { room_id: any(seeded).room_id, limit: PAGE })],
      ['a page of history', `${PAGE} from somewhere`, 10, async () => { const { room_id, head } = any(seeded); await messagePage(deps, { room_id, before: place(head.seq, random()) + 1, limit: PAGE }) }],
      [`a search in ${rooms * messages} messages`, 'a word', 50, async () => { await find(word()) }],
      [`a search in ${rooms * messages} messages`, 'two words', 50, async () => { await find(`${word()} ${word()}`) }],
      [`a search in ${rooms * messages} messages`, 'the beginning of a word', 50, async () => { await find(word().slice(0, 4)) }],
      [`a search in ${rooms * messages} messages`, 'two words next to each other', 50, async () => { const said = speech.say().split(/\s+/).slice(0, 2).join(' ').replaceAll('"', ''); await find(`"${said} ubuntu" or "${said}" or ubuntu`) }],
      [`a search in ${rooms * messages} messages`, 'a word of one author', 50, async () => { await find(word(), everywhere, [any(people)]) }],
      [`a search in ${rooms * messages} messages`, 'a word in one room', 50, async () => { await find(word(), [any(everywhere)]) }],
    ]
    const found = kinds.map(([part, name, limit, ask]) => ({ part, name, limit, ask, p50: [] as number[], p99: [] as number[] }))
    for (let round = -1; round < rounds; round++) { // the first is to warm up
      for (const kind of found) {
        const ms: number[] = []
        for (let i = 0; i < (round < 0 ? Math.ceil(queries / 10) : queries); i++) {
          const asked = performance.now()
          await kind.ask()
          ms.push(performance.now() - asked)
        }
        if (round < 0) continue
        ms.sort((a, b) => a - b)
        kind.p50.push(ms[ms.length >> 1]!)
        kind.p99.push(ms[Math.min(ms.length - 1, Math.floor(ms.length * 0.99))]!)
        say(`${round + 1}/${rounds} ${kind.part}, ${kind.name}: p50 ${kind.p50.at(-1)!.toFixed(1)} ms, p99 ${kind.p99.at(-1)!.toFixed(1)} ms`)
      }
    }
    return {
      title: `reads: among ${rooms * messages} messages in ${rooms} rooms`,
      settings,
      rows: found.flatMap(({ part, name, limit, p50, p99 }) => [row(part, `${name}, p50`, 'ms', p50), row(part, `${name}, p99`, 'ms', p99, undefined, atMost(limit, 'ms'))]),
      verdicts: {},
      raw: found.map(({ part, name, p50, p99 }) => ({ part, name, p50, p99 })),
    }
  } finally {
    await store.close()
  }
}

/** Puts messages into the read models, by their own projections; some name the first of `people`, some are deleted again. */
async function seed (store: Store, { rooms, messages, people, random, say }: { rooms: number, messages: number, people: readonly string[], random: Random, say: () => string }): Promise<Seeded[]> {
  const keys = createKeys(PARTITIONS)
  const seeded: Seeded[] = []
  const began = Date.UTC(2026, 0, 1)
  await store.query('SET synchronous_commit = off') // of this one connection
  for (let first = 0; first < rooms; first += BATCH_ROOMS) {
    const now = Array.from({ length: Math.min(BATCH_ROOMS, rooms - first) }, () => ({ room_id: uuidv7(), at: START }))
    for (let done = 0; done < messages;) {
      const count = Math.min(200, messages - done)
      const batch: RoomBatch[] = now.map(room => {
        const events: Array<RoomBatch['events'][number]> = []
        const add = (body: Record<string, unknown>, user_id: string): void => {
          const event_id = uuidv7()
          room.at = { seq: room.at.seq + 1, chain: chainOf(room.at.chain, event_id) }
          // All rooms are written in at the same time, as they would be.
          const event = { ...body, user_id, timestamp: new Date(began + room.at.seq * 60_000 + Math.floor(random() * 60_000)).toISOString() } as never
          const entry = { ...room.at, event_id, v: 1, data: encodeEvent(event) }
          events.push({ entry, event: decodeEvent(entry) })
        }
        if (done === 0) add({ type: 'room', change: 'created', name: 'a room', kind: 'public', history: 'all' }, people[0]!)
        for (let i = 0; i < count; i++) {
          add({ type: 'message', content: say(), client_id: uuidv7(), ...random() * 100 < MENTIONING ? { mentions: [people[0]] } : {} }, people[Math.floor(random() ** 2 * people.length)]!)
          if (random() * 100 < DELETED) add({ type: 'delete', message_seq: room.at.seq }, people[0]!)
        }
        return { room_id: room.room_id, partition: keys.partitionOf(room.room_id), events }
      })
      await store.transaction(async tx => {
        await history.apply(tx, batch)
        await search.apply(tx, batch)
      })
      done += count
    }
    seeded.push(...now.map(({ room_id, at }) => ({ room_id, head: at })))
  }
  for (const projection of ['archive_v1', 'history_v1', 'search_v1']) {
    await store.query(`
      INSERT INTO checkpoints (projection, room_id, partition, seq, chain)
      SELECT $1, * FROM unnest($2::uuid[], $3::int[], $4::bigint[], $5::text[])`, [projection, seeded.map(({ room_id }) => room_id), seeded.map(({ room_id }) => keys.partitionOf(room_id)), seeded.map(({ head }) => head.seq), seeded.map(({ head }) => head.chain)])
  }
  await store.query('VACUUM (ANALYZE)') // as the autovacuum would have done while they were written
  await store.query('CHECKPOINT')
  return seeded
}
