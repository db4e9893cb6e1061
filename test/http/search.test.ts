// Search and mentions over HTTP: who finds what, before and after edits, deletes, kicks; pages; bad input.
import t from 'tap'
import { archive } from '../../projections/archive.ts'
import { history } from '../../projections/history.ts'
import { mentions } from '../../projections/mentions.ts'
import { search } from '../../projections/search.ts'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import type { Command } from '../../src/domain/commands.ts'
import { testStack } from './stack.ts'

const { get, post, project, commands } = await testStack(t)
interface Person { user: { id: string }, access_token: string }
const [ann, bob, cat] = await Promise.all(['ann', 'bob', 'cat'].map(async username => (await post('/auth/guest', { username })).body)) as [Person, Person, Person]

async function act (person: Person, room_id: string, ...wishes: Array<Record<string, unknown>>): Promise<void> {
  for (const wish of wishes) {
    const outcome = await commands.execute({ user_id: person.user.id, session: person.user.id, command: { room_id, ...wish } as unknown as Command })
    if (!outcome.ok) throw new Error(`${JSON.stringify(wish)}: ${outcome.rejection.code}`)
  }
}

let rooms = 0
async function room (kind = 'public', more: Record<string, unknown> = {}, ...members: Person[]): Promise<string> {
  const id = `019abc00-0000-7000-8000-0000000${String(++rooms).padStart(5, '0')}`
  await act(ann, id, { type: 'create', name: 'a room', kind, ...more })
  for (const person of members) await (kind === 'public' ? act(person, id, { type: 'join' }) : act(ann, id, { type: 'add', target: person.user.id }))
  return id
}
const say = async (person: Person, id: string, ...contents: string[]): Promise<void> => { await act(person, id, ...contents.map(content => ({ type: 'message', content }))) }
async function projectAll (...ids: string[]): Promise<void> {
  for (const projection of [archive, history, search, mentions]) await project(projection, ...ids)
}
const q = (text: string): string => `q=${encodeURIComponent(text)}`
const find = async (person: Person, path: string) => await get(path, person.access_token)
/** Places of what is found. */
const found = async (person: Person, path: string): Promise<string[]> => (await find(person, path)).body.items.map(({ room_id, seq }: { room_id: string, seq: number }) => `${room_id.slice(-2)} ${seq}`).sort()

t.test('messages of a room are found with all that is shown of them, and what was found in them', async t => {
  const id = await room('public', {}, bob)
  await say(ann, id, 'The quick brown fox, see https://x.y', 'QUICK @bob', 'slow café')
  await act(ann, id, { type: 'react', message_seq: 3, emoji: '👍' }, { type: 'message', content: 'quick', attachments: [{ url: 'https://x.y/z.png' }] })
  t.same(await found(bob, `/rooms/${id}/search?${q('quick')}`), [], 'not projected yet')
  await projectAll(id)
  const { body } = await find(bob, `/rooms/${id}/search?${q('brown qui')}`)
  t.match(body, { next: null, as_of: { seq: 7, chain: /^[0-9a-f]{16}$/ } })
  t.match(body.items, [{ room_id: id, seq: 3, user_id: ann.user.id, content: 'The quick brown fox, see https://x.y', reactions: [{ emoji: '👍', count: 1 }], mentions: [], snippet: { at: 0, highlights: [{ from: 4, to: 9 }, { from: 10, to: 15 }] } }])
  const seqs = async (text: string): Promise<number[]> => (await find(bob, `/rooms/${id}/search?${q(text)}`)).body.items.map(({ seq }: { seq: number }) => seq).sort()
  t.same(await seqs('quick'), [3, 4, 7])
  t.same(await seqs('CAFE'), [5])
  t.same(await seqs('quick -fox'), [4, 7])
  t.same(await seqs('"quick brown" or slow'), [3, 5])
  t.same(await seqs('quick has:link'), [3])
  t.same(await seqs('has:attachment'), [7])
  t.same(await seqs('has:mention quick'), [4])
  t.same(await seqs('from:ANN slow'), [5])
  t.same(await seqs('from:@bob'), [])
  t.same(await seqs('from:nobody quick'), [])
  t.same(await seqs('quick in:"A room"'), [3, 4, 7])
  t.same(await seqs('quick in:elsewhere'), [])
  t.same(await seqs('quick after:2020-01-01 before:2100-01-01'), [3, 4, 7])
  t.same(await seqs('quick before:2020-01-01'), [])
  t.same(await seqs('quick after:2100-01-01'), [])
  t.match(await find(bob, '/rooms/lobby/search?q=quick'), { status: 200, body: { items: [] } })
})

t.test('edits and deletes hold at once, before the read models have them and after', async t => {
  const id = await room()
  await say(ann, id, 'apple one', 'apple two', 'apple three')
  await projectAll(id)
  t.equal((await found(ann, `/rooms/${id}/search?q=apple`)).length, 3)
  await act(ann, id, { type: 'delete', message_seq: 2 }, { type: 'edit', message_seq: 3, content: 'pear two' }, { type: 'edit', message_seq: 4, content: 'apple four' })
  const check = async (what: string): Promise<void> => {
    const { body } = await find(ann, `/rooms/${id}/search?q=apple`)
    t.match(body.items, [{ seq: 4, content: 'apple four', edited_at: /Z$/ }], what)
    t.equal(body.items.length, 1)
  }
  await check('before')
  await projectAll(id)
  await check('after')
  t.same((await find(ann, `/rooms/${id}/search?q=pear`)).body.items[0].snippet, { text: 'pear two', at: 0, highlights: [{ from: 0, to: 4 }] })
})

t.test('a search of my rooms finds what I may read now, and nothing else', async t => {
  const [open, joined, closed, late, gone] = [await room(), await room('public', {}, bob), await room('private'), await room('private', { history: 'joined' }), await room('private', {}, bob)] as const
  for (const id of [open, joined, closed, late, gone]) await say(ann, id, 'needle')
  await act(ann, late, { type: 'add', target: bob.user.id })
  await say(ann, late, 'needle again')
  await say(cat, LOBBY_ID, 'needle')
  await projectAll(open, joined, closed, late, gone, LOBBY_ID)
  const end = (id: string): string => id.slice(-2)
  t.same(await found(bob, '/search?q=needle'), [`${end(LOBBY_ID)} 2`, `${end(joined)} 3`, `${end(late)} 4`, `${end(gone)} 3`].sort(), 'not in the public room that he is not in, nor before he came in')
  t.same(await found(bob, `/rooms/${open}/search?q=needle`), [`${end(open)} 2`], 'there he may search all the same')
  t.same(await found(bob, `/rooms/${late}/search?q=needle`), [`${end(late)} 4`])
  t.match(await find(bob, `/rooms/${closed}/search?q=needle`), { status: 404, body: { code: 'room_not_found' } })
  await act(ann, gone, { type: 'kick', target: bob.user.id })
  t.same(await found(bob, '/search?q=needle'), [`${end(LOBBY_ID)} 2`, `${end(joined)} 3`, `${end(late)} 4`].sort(), 'at once, though the read model has him in the room')
  t.same(await found(cat, '/search?q=needle'), [`${end(LOBBY_ID)} 2`])
  t.equal((await found(ann, '/search?q=needle')).length, 7)
  t.same(await found(bob, `/search?${q('needle in:lobby')}`), [`${end(LOBBY_ID)} 2`])
  t.same(await found(bob, `/search?${q('needle from:cat from:nobody')}`), [`${end(LOBBY_ID)} 2`])
})

t.test('pages have everything once', async t => {
  const [one, two] = [await room('private'), await room('private')]
  for (let i = 0; i < 15; i++) for (const id of [one, two]) await say(ann, id, `page ${'page '.repeat(i % 4)}`)
  await projectAll(one, two)
  for (const [path, count] of [['/search', 30], [`/rooms/${one}/search`, 15]] as const) {
    const all: string[] = []
    for (let next: string | null = ''; next !== null;) {
      const { body }: { body: any } = await find(ann, `${path}?q=page&limit=4${next === '' ? '' : `&before=${next}`}`)
      all.push(...body.items.map(({ room_id, seq }: { room_id: string, seq: number }) => `${room_id} ${seq}`))
      next = body.next
    }
    t.equal(all.length, count, path)
    t.equal(new Set(all).size, count, path)
  }
})

t.test('what cannot be searched for is refused, and says why', async t => {
  const id = await room()
  for (const path of ['/search', `/rooms/${id}/search`]) {
    for (const text of ['"', '- -"', '& | ! <->', '%', '_', '-needle', 'has:everything', 'x before:2026-02-30', 'a '.repeat(65)]) t.match(await find(ann, `${path}?${q(text)}`), { status: 422, body: { code: 'bad_search', field: 'q' } }, text)
    for (const text of ['', 'a\0b', 'x'.repeat(1001), 'word '.repeat(10_000).slice(0, 9000)]) t.match(await find(ann, `${path}?${q(text)}`), { status: 400, body: { code: 'bad_request' } }, text.slice(0, 10))
    for (const query of ['', 'q=a&limit=0', 'q=a&limit=51', 'q=a&before=x', `q=a&before=${Buffer.from('{"before":[1,"x",1]}').toString('base64url')}`, `q=a&before=${'A'.repeat(1001)}`, 'q=a&q=b']) t.match(await find(ann, `${path}?${query}`), { status: 400, body: { code: 'bad_request' } }, query.slice(0, 60))
    for (const text of ["'; DROP TABLE messages; --", 'a:* & !b | (c', "'quoted' \\ back", '%needle%', '=link', '🎉'.repeat(60), '"'.repeat(999) + 'a', '(((((a)))))']) t.match(await find(ann, `${path}?${q(text)}`), { status: 200, body: { items: [] } }, text.slice(0, 30))
    t.match(await get(`${path}?q=a`), { status: 401 })
  }
})

t.test('messages that name me, by name and by @room, the latest first', async t => {
  const eve = (await post('/auth/guest', { username: 'eve' })).body as Person
  const [first, second] = [await room('private', {}, eve), await room('public')]
  await say(ann, second, '@room before she came')
  await act(eve, second, { type: 'join' })
  await say(ann, first, 'hello @eve', 'hello @ann', '@room all of you', '@eve and @room')
  await say(ann, second, '@room here too', 'nobody')
  await say(eve, second, '@room mine')
  await projectAll(first, second)
  const list = async (query = '') => (await find(eve, `/mentions${query}`)).body
  const named = async (): Promise<string[]> => (await list()).items.map(({ content }: { content: string }) => content)
  const all = ['@room here too', '@eve and @room', '@room all of you', 'hello @eve']
  t.same(await named(), all.filter(content => !content.includes('mine')))
  t.match((await list()).items[3], { room_id: first, seq: 3, user_id: ann.user.id, mentions: [eve.user.id], named_at: /Z$/, reactions: [] })

  const pages: string[] = []
  for (let next: string | null = ''; next !== null;) {
    const body: any = await list(`?limit=1${next === '' ? '' : `&before=${next}`}`)
    pages.push(...body.items.map(({ content }: { content: string }) => content))
    next = body.next
  }
  t.same(pages, all)
  for (const query of ['?before=x', '?limit=0', '?limit=201', `?before=${Buffer.from('{"at":1}').toString('base64url')}`]) t.match(await find(eve, `/mentions${query}`), { status: 400, body: { code: 'bad_request' } })

  // Edits and deletes: what names her no more is gone at once; whom an edit names is there when the read model has it.
  await act(ann, first, { type: 'edit', message_seq: 3, content: 'hello' }, { type: 'edit', message_seq: 4, content: 'hello @ann and @eve' }, { type: 'delete', message_seq: 5 })
  t.same(await named(), ['@room here too', '@eve and @room'])
  await projectAll(first)
  t.same(await named(), ['hello @ann and @eve', '@room here too', '@eve and @room'])
  t.equal((await find(ann, '/mentions')).body.items.filter(({ seq, room_id }: { seq: number, room_id: string }) => seq === 4 && room_id === first).length, 1)

  await act(ann, first, { type: 'kick', target: eve.user.id })
  t.same(await named(), ['@room here too'], 'access is asked at the moment of reading')
  await act(eve, second, { type: 'leave' })
  t.same(await named(), [], '@room is for those who are in it')
})

t.test('mentions from before a member came in are not shown where the room hides them', async t => {
  const id = await room('private', { history: 'joined' }, cat)
  await say(ann, id, '@cat hello')
  await act(cat, id, { type: 'leave' })
  await act(ann, id, { type: 'add', target: cat.user.id })
  await say(ann, id, '@cat again')
  await projectAll(id)
  t.same((await find(cat, '/mentions')).body.items.map(({ content }: { content: string }) => content), ['@cat again'])
})
