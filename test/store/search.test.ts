// Full-text search in the read model: what people type, against a naïve search; pages; plans and time in 100,000 messages.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { search as projection } from '../../projections/search.ts'
import { isFoundIn, parseSearch, SEARCH_TERMS_MAX, snippetOf, tsqueryOf, wordsOf, type Search } from '../../src/domain/search.ts'
import { indexStatement, RANKED_MAX, searchHits, SearchTooWide, wideStatement, windowStatement, type Hit, type SearchCursor, type SearchQuery } from '../../src/store/search.ts'
import { createWorld, type World } from '../projections/feed.ts'

interface Said { seq: number, user_id: string, timestamp: string, content: string, attachments?: Array<{ url: string }> }

/** Writes the index as the projection does. */
async function index ({ store }: World, room_id: string, messages: readonly Said[]): Promise<void> {
  await store.transaction(async tx => {
    await projection.apply(tx, [{ room_id, partition: 0, events: messages.map(({ seq, ...message }) => ({ entry: { seq, chain: '', event_id: randomUUID(), v: 1, data: '' }, event: { type: 'message', ...message } })) }])
  })
}

function parsed (text: string): Search {
  const search = parseSearch(text)
  if (typeof search === 'string') throw new Error(`${text}: ${search}`)
  return search
}

const time = (ms: number): string => new Date(Date.UTC(2026, 10, 20) + ms).toISOString()

/** All pages. */
async function everyHit ({ store }: World, query: Omit<SearchQuery, 'cursor' | 'limit'>, limit = 50): Promise<Hit[]> {
  const hits: Hit[] = []
  for (let cursor: SearchCursor | null = {}; cursor !== null;) {
    const page: { hits: Hit[], next: SearchCursor | null } = await searchHits(store, { ...query, cursor, limit })
    hits.push(...page.hits)
    cursor = page.next
  }
  return hits
}
const placesOf = (hits: ReadonlyArray<{ room_id: string, seq: number }>): string[] => hits.map(({ room_id, seq }) => `${room_id} ${seq}`).sort()

t.test('texts are cut into words that case, accents and variants of letters do not change', async t => {
  const words = (text: string): string[] => wordsOf(text).map(({ word }) => word)
  t.same(words('Hello, WORLD! don\'t a_b x-y foo/bar <b>'), ['hello', 'world', 'don', 't', 'a', 'b', 'x', 'y', 'foo', 'bar', 'b'])
  t.same(words('Café CAFE\u0301 Ångström ﬁne １２ ΟΔΟΣ οδος'), ['cafe', 'cafe', 'angstrom', 'fine', '12', 'οδοσ', 'οδοσ'])
  t.same(words('你好world 🎉👍 हिन्दी'), ['你', '好', 'world', '🎉', '👍', 'हिन्दी'])
  t.same(words(' \n\t"\'\\ :*&|!()<->'), [])
})

t.test('what cannot be searched for is told', async t => {
  for (const text of ['', ' ', '"', '"""" -', '- - -', '& | ! ( ) <-> :* \\ \'', '-hello', 'hello or -world', '%', '_ %', 'in:lobby', 'before:2026-11-20']) t.match(parseSearch(text), /needs a word/, JSON.stringify(text))
  t.match(parseSearch('has:everything'), /has: is one of link, attachment, mention/)
  for (const day of ['2026-02-30', 'yesterday', '2026-1-1', '9999-99-99']) t.match(parseSearch(`hello before:${day}`), /takes a day/, day)
  t.match(parseSearch('hello -from:ann'), /not possible/)
  t.match(parseSearch('a '.repeat(SEARCH_TERMS_MAX + 1)), /at most 64/)
  t.match(parseSearch('好'.repeat(SEARCH_TERMS_MAX + 1)), /at most 64/)
  for (const text of ['hello', 'from:ann', 'has:link -hello', '"a b" or c', 'from:"', 'or', 'hello or', 'in:"a room" hello', '%hello_', 'a'.repeat(1000), '"never ended']) t.type(parseSearch(text), 'object', text)
})

t.test('filters are taken out of the words', async t => {
  t.match(parsed('From:Ann in:"a room" has:LINK after:2026-11-19 before:2026-11-21 "two words" -not hel'), {
    alternatives: [{ all: [{ words: ['two', 'words'], prefix: false }, { words: ['hel'], prefix: true }], none: [{ words: ['not'], prefix: false }] }],
    from: ['Ann'],
    in: ['a room'],
    has: ['link'],
    since: Date.UTC(2026, 10, 20),
    until: Date.UTC(2026, 10, 21),
  })
  t.same(parsed('hel ').alternatives[0]!.all, [{ words: ['hel'], prefix: false }], 'a space ends the word')
  t.same(parsed('see http:x from: ann ').from, [], 'a filter has its value at once')
})

t.test('words and operators mean what they mean to websearch_to_tsquery', async t => {
  const { store } = await createWorld(t)
  const word = fc.constantFrom('a', 'b', 'cat', 'dog', 'or', 'OR', '"a b"', '"cat"', '-dog', '-"a b"')
  const texts = ['a', 'b', 'or', 'cat', 'dog', 'a b', 'b a', 'a or b', 'cat a dog', 'cat b', 'dog or cat', 'a b cat dog or', 'cat dog', 'a dog', 'or dog a b']
  await fc.assert(fc.asyncProperty(fc.array(word, { minLength: 1, maxLength: 8 }), async words => {
    const text = `${words.join(' ')} ` // its last word is whole
    const search = parseSearch(text)
    if (typeof search === 'string') return // what only excludes is allowed there
    const { rows } = await store.query(`
      SELECT text, to_tsvector('simple', text) @@ $2::tsquery AS ours, to_tsvector('simple', text) @@ websearch_to_tsquery('simple', $3) AS theirs
        FROM unnest($1::text[]) AS said (text)`, [texts, tsqueryOf(search), text])
    for (const row of rows) {
      assert.equal(row.ours, row.theirs, `${text}in ${row.text}`)
      assert.equal(isFoundIn(search, { content: row.text }), row.ours, `${text}in ${row.text}, here`)
    }
  }), { numRuns: 300 })
  t.pass('300 searches')
})

t.test('search finds what a naïve search finds, whatever is said and asked, in one room and in many', async t => {
  const world = await createWorld(t)
  const vocabulary = ['cat', 'cats', 'Dog', 'dögs', 'be', 'bee', '好', '的', '🎉', '12']
  const plain: Record<string, string> = { Dog: 'dog', dögs: 'dogs' }
  const users = [randomUUID(), randomUUID()]
  const said = fc.record({ words: fc.array(fc.constantFrom(...vocabulary), { minLength: 1, maxLength: 6 }), by: fc.nat(1), link: fc.boolean(), attached: fc.boolean() })
  const term = fc.record({ words: fc.array(fc.constantFrom(...vocabulary, 'ca', 'do'), { minLength: 1, maxLength: 2 }), not: fc.boolean() })
  const asked = fc.record({ alternatives: fc.array(fc.array(term, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 2 }), prefix: fc.boolean(), by: fc.option(fc.nat(1), { nil: undefined }), link: fc.boolean(), attached: fc.boolean(), from: fc.nat(4) })
  await fc.assert(fc.asyncProperty(fc.array(fc.array(said, { maxLength: 12 }), { minLength: 1, maxLength: 3 }), fc.array(asked, { minLength: 1, maxLength: 6 }), async (given, questions) => {
    await world.store.query('TRUNCATE search_messages')
    const rooms = given.map(messages => ({ room_id: randomUUID(), messages }))
    for (const [r, { room_id, messages }] of rooms.entries()) {
      await index(world, room_id, messages.map(({ words, by, link, attached }, i) => ({ seq: i + 2, user_id: users[by]!, timestamp: time(i * 1000 + r), content: words.join(' ') + (link ? ' https://q.z' : ''), ...(attached ? { attachments: [{ url: 'https://q.z' }] } : {}) })))
    }
    for (const { alternatives, prefix, by, link, attached, from } of questions) {
      const text = alternatives.map(terms => terms.map(({ words, not }) => `${not ? '-' : ''}"${words.join(' ')}"`).join(' ')).join(' or ') + (prefix ? ' ca' : '') + (link ? ' has:link' : '') + (attached ? ' has:attachment' : '')
      const search = parseSearch(text)
      if (typeof search === 'string') continue
      const wanted = rooms.flatMap(({ room_id, messages }) => messages.flatMap(({ words, by: author, link: linked, attached: had }, i) => {
        if (i + 2 <= from || (by !== undefined && author !== by) || (link && !linked) || (attached && !had)) return []
        // Words between spaces: a phrase is a part of that text.
        const line = ` ${words.map(word => plain[word] ?? word).join(' ')}${linked ? ' https q z' : ''} `
        const isIn = (phrase: string[]): boolean => line.includes(` ${phrase.map(word => plain[word] ?? word).join(' ')} `)
        // The beginning of a word where it is the last thing, else a word.
        const isBegun = (): boolean => line.includes(link || attached ? ' ca ' : ' ca')
        const hit = alternatives.some((terms, n) => terms.every(({ words, not }) => isIn(words) !== not) && (!prefix || n < alternatives.length - 1 || isBegun()))
        return hit ? [{ room_id, seq: i + 2 }] : []
      }))
      const query = { search, authors: by === undefined ? undefined : [users[by]!], rooms: rooms.map(({ room_id }) => ({ room_id, from })) }
      assert.deepEqual(placesOf(await everyHit(world, query)), placesOf(wanted), text)
      for (const room of query.rooms) assert.deepEqual(placesOf(await everyHit(world, { ...query, rooms: [room] }, 1)), placesOf(wanted.filter(({ room_id }) => room_id === room.room_id)), text)
      // So few are looked through one by one: the other ways are asked besides.
      for (const statement of [indexStatement, wideStatement, (query: SearchQuery) => indexStatement(query, { wholeOnly: true })]) {
        for (const where of [query.rooms, query.rooms.slice(0, 1)]) {
          const { text: sql, values } = statement({ ...query, rooms: where, cursor: {}, limit: 50 })
          const { rows } = await world.store.query(sql, values)
          assert.deepEqual(placesOf(rows), placesOf(wanted.filter(({ room_id }) => where.some(room => room.room_id === room_id))), text)
        }
      }
    }
  }), { numRuns: 60 })
  t.pass('60 sets of rooms')
})

t.test('pages have every hit once, the best of a run first, while messages come in', async t => {
  const world = await createWorld(t)
  const [room, other, user] = [randomUUID(), randomUUID(), randomUUID()]
  const say = (from: number, count: number): Said[] => Array.from({ length: count }, (_, i) => ({ seq: from + i, user_id: user, timestamp: time((from + i) * 1000), content: `hello ${'hello '.repeat((from + i) % 4)}${'more '.repeat((from + i) % 3)}` }))
  await index(world, room, say(2, 250))
  await index(world, other, say(2, 30))
  for (const rooms of [[{ room_id: room, from: 0 }], [{ room_id: room, from: 0 }, { room_id: other, from: 0 }]]) {
    const hits: Hit[] = []
    let cursor: SearchCursor | null = {}
    for (let page = 0, next = 1000 * rooms.length; cursor !== null; page++) {
      const { hits: some, next: then }: { hits: Hit[], next: SearchCursor | null } = await searchHits(world.store, { search: parsed('hello'), rooms, authors: undefined, cursor, limit: 7 })
      hits.push(...some)
      cursor = then
      await index(world, room, say(next, 3))
      next += 3
    }
    const early = hits.filter(({ seq }) => seq < 1000 * rooms.length)
    t.equal(new Set(placesOf(early)).size, early.length, 'none twice')
    t.equal(hits.filter(({ seq }) => seq < 1000).length, 250 + (rooms.length - 1) * 30, 'none left out')
    const ranks = hits.slice(0, RANKED_MAX).map(({ rank }) => rank)
    t.same(ranks, ranks.toSorted((a, b) => b - a), 'the best first')
    t.ok(hits[RANKED_MAX]!.rank > ranks.at(-1)!, 'then the best of those before')
  }
})

t.test('an answer never takes longer than its time', async t => {
  const world = await createWorld(t)
  const held = await world.store.connect()
  await held.query('BEGIN; LOCK TABLE search_messages IN ACCESS EXCLUSIVE MODE')
  await t.rejects(searchHits(world.store, { search: parsed('hello'), rooms: [{ room_id: randomUUID(), from: 0 }], authors: undefined, cursor: {}, limit: 1 }), SearchTooWide)
  await held.query('ROLLBACK')
  held.release()
})

t.test('what was found is shown in its place, whole characters around it', async t => {
  const shown = (q: string, content: string): string => {
    const { text, at, highlights } = snippetOf(parsed(q), content)
    t.equal(content.slice(at, at + text.length), text)
    t.ok(text.isWellFormed())
    return highlights.map(({ from, to }) => text.slice(from, to)).join('|')
  }
  t.equal(shown('"two words" hel', 'Two words, HELLO <b>words</b> two'), 'Two|words|HELLO')
  t.equal(shown('cafe -tea', 'un café 🎉'), 'café')
  t.equal(shown('needle', `${'😀'.repeat(500)} needle ${'😀'.repeat(500)}`), 'needle')
  t.equal(shown('needle', `${'hay '.repeat(900)}needle`), 'needle')
  t.equal(shown('from:ann', 'hello'), '')
  t.ok(snippetOf(parsed('a'), 'a '.repeat(4000)).text.length <= 240)
  t.ok(isFoundIn(parsed('hel'), { content: 'hello' }))
  t.notOk(isFoundIn(parsed('hel '), { content: 'hello' }))
})

/** Every node of a plan. */
function nodes (plan: Record<string, unknown>): Array<Record<string, unknown>> {
  return [plan, ...((plan.Plans ?? []) as Array<Record<string, unknown>>).flatMap(nodes)]
}

t.test('in 100,000 messages plans use the indexes, and answers come soon', async t => {
  const world = await createWorld(t)
  const { store } = world
  const users = Array.from({ length: 20 }, () => randomUUID())
  const rooms = Array.from({ length: 100 }, () => ({ room_id: randomUUID(), from: 0 }))
  let random = 1
  const next = (): number => (random = random * 48271 % 2147483647) / 2147483647
  /** Few words often, many seldom, as people write. */
  const word = (): string => `w${Math.floor(20_000 ** next())}`
  const began = performance.now()
  for (const [r, { room_id }] of rooms.entries()) {
    await index(world, room_id, Array.from({ length: 1000 }, (_, i) => ({ seq: i + 2, user_id: users[(i + r) % 20]!, timestamp: time(i * 60_000 + r), content: `${Array.from({ length: 8 }, word).join(' ')}${i < 300 ? ' early' : ''}` })))
  }
  t.comment(`${Math.round(100_000 / (performance.now() - began) * 1000)} rows/s`)
  await store.query('ANALYZE search_messages')

  async function plan (t: Test, q: string, where: typeof rooms, statement: typeof indexStatement): Promise<string> {
    const { text, values } = statement({ search: parsed(q), rooms: where, authors: undefined, cursor: {}, limit: 20 })
    const { rows: [{ 'QUERY PLAN': json }] } = await store.transaction(async tx => {
      await tx.query('SET LOCAL jit = off; SET LOCAL enable_seqscan = off')
      return await tx.query(`EXPLAIN (FORMAT JSON) ${text}`, values)
    })
    const [{ Plan }] = typeof json === 'string' ? JSON.parse(json) : json
    const all = nodes(Plan)
    t.notOk(all.some(node => node['Node Type'] === 'Seq Scan'), `${q}: no sequential scan`)
    return all.map(node => node['Index Name'] ?? '').join(' ')
  }
  const [one, some] = [rooms.slice(0, 1), rooms.slice(0, 60)]
  for (const where of [one, some, rooms]) {
    for (const q of ['w1', 'early']) await plan(t, q, where, indexStatement) // so often that they are not looked up
    for (const q of ['w15000', '"w900 w800"', 'w9000 or w12000', 'w15000 -w1', 'w777']) t.match(await plan(t, q, where, indexStatement), /_words_idx/, q)
    t.match(await plan(t, 'w9000 w1', where, query => indexStatement(query, { wholeOnly: true })), /_words_idx/, 'the whole word alone')
    for (const statement of [windowStatement, wideStatement]) await plan(t, 'w1', where, statement)
  }
  t.match(await plan(t, 'w1', one, windowStatement), /_pkey/)
  t.match(await plan(t, 'w1', rooms, windowStatement), /_newest|_timestamp_room_id_seq/)

  for (const where of [one, some, rooms]) {
    for (const q of ['w1', 'w2 w3', 'early', 'w15000', 'w1', 'has:link w1', 'nowhere', '"w1 w2"', 'w100', 'w10']) {
      const start = performance.now()
      const { hits } = await searchHits(store, { search: parsed(q), rooms: where, authors: undefined, cursor: {}, limit: 20 })
      const ms = performance.now() - start
      t.comment(`${where.length} rooms, ${q}: ${hits.length} hits, ${ms.toFixed(1)} ms`)
      t.ok(ms < 5_000, `${q} in ${where.length} rooms`)
    }
  }
  t.equal((await everyHit(world, { search: parsed('early'), rooms: one, authors: undefined })).length, 300)
  t.equal((await everyHit(world, { search: parsed('early '), rooms: rooms.slice(0, 5), authors: undefined })).length, 1500)
})
