// A lively place to look at: people, forty rooms, and a conversation with everything in it that a conversation may have.
import type { Account, http } from '../client.ts'

/** What the rooms are filled through. */
type Api = ReturnType<typeof http>

const LONG_NAME = 'Wilhelmina-Alexandra von Hohenstein-Oberkirchberg'
const CODE = '```ts\nconst { seq, chain } = await log.append(room, events) // one script, one slot, and this line is longer than a phone is wide\nif (seq !== last + 1) throw new Hole(last, seq)\n```'
const EMOJI = ['👍', '❤️', '😂', '🎉', '🚀', '👀', '🔥', '✅', '🙏', '💯', '🤔', '😍', '👏', '🥳']
const ROOMS = [
  'Announcements', 'Backend', 'Book club', 'Coffee', 'Customer love', 'Design', 'Docs', 'Frontend', 'Gardening', 'Help desk', 'Hiring', 'Incidents', 'Kitchen', 'Launch', 'Music', 'On call',
  'Operations', 'Photos', 'Q4 planning', 'Random', 'Releases', 'Research', 'Running', 'Security', 'Support', 'Travel', 'Trains', 'Weekly', 'Wins', 'Zürich',
  'A room whose name is so very long that no list of rooms in the world would ever show the whole of it', 'Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen', 'غرفة القهوة', '日本語の部屋', 'Alpha', 'Beta', 'Gamma',
]

export interface Lively {
  /** Everything is said in it. */
  readonly roomId: string
  readonly name: string
  /** A message that a thread begins at. */
  readonly plan: number
  /** Others who can write. */
  readonly people: Record<'bob' | 'cleo' | 'wilhelmina' | 'omar', Account>
  readonly say: (who: Account, content: string, more?: object) => Promise<number>
}

/** @param ada the token of whoever looks at it */
export async function lively (api: Api, ada: string): Promise<Lively> {
  const ok = async (method: string, path: string, body: unknown, token: string): Promise<any> => {
    const { status, body: answer } = await api.call(method, path, { body, token })
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(answer)}`)
    return answer
  }
  const [bob, cleo, wilhelmina, omar] = await Promise.all(['bob', 'cleo', 'wilhelmina', 'omar'].map(async name => await api.signup(name))) as [Account, Account, Account, Account]
  const called = async (who: Account, display_name: string): Promise<unknown> => await ok('PATCH', '/me', { display_name }, who.access_token)
  await Promise.all([called(bob, 'Bob Miller'), called(cleo, 'Cleo Haddad'), called(wilhelmina, LONG_NAME), called(omar, 'عمر')])

  const { id: roomId } = await ok('POST', '/rooms', { name: 'Water works', kind: 'public', topic: 'Where the mill gets its water: logs, tails and what flows between them' }, ada)
  for (const who of [bob, cleo, wilhelmina, omar]) await ok('POST', `/rooms/${roomId}/join`, {}, who.access_token)
  const say = async (who: { access_token: string }, content: string, more: object = {}): Promise<number> => (await ok('POST', `/rooms/${roomId}/messages`, { content, ...more }, who.access_token)).seq
  const me = { access_token: ada }
  const react = async (seq: number, emoji: string, who: Account): Promise<unknown> => await ok('PUT', `/rooms/${roomId}/messages/${seq}/reactions/${encodeURIComponent(emoji)}`, undefined, who.access_token)

  const plan = await say(bob, 'Morning! The new **tail** is on staging. It held 10,000 sockets over night, and nobody lost a message.')
  await say(bob, 'Numbers are here: https://example.org/reports/2026/november/tail-over-night?from=yesterday&to=today#latency')
  for (const emoji of EMOJI) await react(plan, emoji, cleo)
  for (const emoji of EMOJI.slice(0, 4)) await react(plan, emoji, omar)
  await say(cleo, 'That is the loop, for whoever asks:')
  const code = await say(cleo, CODE)
  await react(code, '🔥', bob)
  await say(wilhelmina, '> It held 10,000 sockets over night\n\nWhat did it need?\n\n- `1.2 GB` of memory\n- *half* a core', { reply_to: plan })
  await say(omar, 'صباح الخير! شكراً على هذا العمل الرائع، كل شيء يعمل بشكل ممتاز الآن.')
  await say(me, 'I pulled the plug for ten minutes: it came back with all of it, in order.', { reply_to: plan })
  const gone = await say(bob, 'never mind')
  await ok('DELETE', `/rooms/${roomId}/messages/${gone}`, undefined, bob.access_token)
  await say(wilhelmina, `One long word: ${'Rechtsschutzversicherungsgesellschaften'.repeat(4)}`)
  const asked = await say(cleo, 'Could you look at the fence, @ada? I think it is one call too many.')
  await react(asked, '👀', bob)
  await ok('PATCH', `/rooms/${roomId}/messages/${asked}`, { content: 'Could you look at the fence today, @ada? I think it is one call too many.' }, cleo.access_token)
  for (const [who, content] of [[cleo, 'And what happens when Redis goes away in the middle of it?'], [omar, 'It waits. See https://example.org/fence'], [me, 'It **waits**, @cleo: nothing is appended before what was there is back.']] as const) await say(who, content, { thread: plan })
  await say(bob, 'Shall I write that down?', { thread: asked })
  for (const seq of [plan, code]) await ok('PUT', `/rooms/${roomId}/pins/${seq}`, undefined, ada)
  await say(bob, '🎉🎉🎉')

  for (const [i, name] of ROOMS.entries()) {
    const { id } = await ok('POST', '/rooms', { name, kind: i % 3 === 0 ? 'private' : 'public' }, ada)
    if (i % 3 === 0) continue
    await ok('POST', `/rooms/${id}/join`, {}, bob.access_token)
    for (let n = 0; n < i % 4; n++) await ok('POST', `/rooms/${id}/messages`, { content: n === 2 ? 'What do you think, @ada?' : `Something about ${name.toLowerCase()}, and then some more of it` }, bob.access_token)
  }
  for (const who of [cleo, wilhelmina]) {
    const { id } = await ok('POST', '/dms', { user_id: who.user.id }, ada)
    await ok('POST', `/rooms/${id}/messages`, { content: 'Have you got a minute?' }, who.access_token)
  }
  return { roomId, name: 'Water works', plan, people: { bob, cleo, wilhelmina, omar }, say }
}
