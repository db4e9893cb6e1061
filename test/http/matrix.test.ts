// Who may do what: every command × every kind of room × every role × muted, kicked, banned, gone or never there, over HTTP and by
// frame. What is expected is written down here a second time, from docs/PROTOCOL.md, without the code's own table. And what
// outsiders of a closed room are answered is compared, word for word, with the answers for a room that does not exist.
import { randomUUID } from 'node:crypto'
import t from 'tap'
import { REJECTIONS, type RejectionCode } from '../../src/domain/rejections.ts'
import { uuidv7 } from '../../src/ids.ts'
import { createKeys } from '../../src/log/keys.ts'
import { connect, http, type Client, type Frame } from '../client.ts'
import { environment, millrace } from '../e2e/world.ts'

const KINDS = ['public', 'private', 'protected', 'group', 'dm', 'lobby'] as const
type Kind = typeof KINDS[number]
const INSIDE = ['owner', 'admin', 'moderator', 'member', 'muted admin', 'muted moderator', 'muted member'] as const
const OUTSIDE = ['stranger', 'left', 'kicked', 'banned'] as const
const STATES = [...INSIDE, ...OUTSIDE] as const
type State = typeof STATES[number]
const RANK: Record<string, number> = { member: 0, moderator: 1, admin: 2, owner: 3 }

/** Those who can be, in rooms of this kind: nobody makes anybody more than a member in a DM, and nobody is put out of one. */
function statesOf (kind: Kind): readonly State[] {
  if (kind === 'dm') return ['member', 'stranger']
  if (kind === 'lobby') return ['admin', 'moderator', 'member', 'muted moderator', 'muted member', 'banned']
  return STATES
}

const world = await millrace(t, { gateways: 2, projectors: 0 })
const { call, post, get } = http(world.urlOf(0))
const elsewhere = http(world.urlOf(1))
const keys = createKeys(Number(environment(world).PARTITIONS))

interface Person { readonly id: string, readonly token: string, socket?: Client }

async function person (): Promise<Person> {
  const { status, body } = await post('/auth/guest', { username: `u-${randomUUID()}` })
  if (status !== 201) throw new Error(`no guest: ${status} ${JSON.stringify(body)}`)
  return { id: body.user.id, token: body.access_token }
}

async function socketOf (who: Person): Promise<Client> {
  if (who.socket === undefined) {
    who.socket = await connect({ url: world.urlOf(0), token: who.token })
    t.teardown(() => { who.socket!.cut() })
  }
  return who.socket
}

/** The people of all rooms. In each the maker owns it; the peer is a plain member, the chief an admin. */
const [maker, peer, chief, actor, silenced, outcast, stranger] = await Promise.all(Array.from({ length: 7 }, person)) as [Person, Person, Person, Person, Person, Person, Person]

interface Room {
  readonly id: string
  readonly kind: Kind
  readonly actor: Person
  readonly maker: Person
  readonly peer: Person
  readonly chief: Person
  readonly silenced: Person
  readonly outcast: Person
  readonly stranger: Person
  /** Seqs of messages: of the actor, of the peer, of the maker. */
  readonly mine: number
  readonly theirs: number
  readonly makers: number
}

/** For what must not fail. */
async function done (method: string, path: string, token: string, body?: unknown): Promise<any> {
  const answer = await call(method, path, { token, body })
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
  return answer.body
}

const say = async (id: string, who: Person): Promise<number> => (await done('POST', `/rooms/${id}/messages`, who.token, { content: 'words' })).seq

/** A room in which the actor is what the state says. */
async function roomFor (kind: Kind, state: State): Promise<Room> {
  if (kind === 'dm') return await directRoom(state)
  if (kind === 'lobby') return await lobbyRoom(state)
  const members = kind === 'public' ? undefined : [peer, chief, silenced, ...state === 'stranger' ? [] : [actor]].map(({ id }) => id)
  const { id } = await done('POST', '/rooms', maker.token, { name: 'secret name', kind, members, ...(kind === 'protected' && { password: 'open sesame' }) })
  if (kind === 'public') for (const who of [peer, chief, silenced, ...state === 'stranger' ? [] : [actor]]) await done('POST', `/rooms/${id}/join`, who.token, {})
  const [theirs, makers] = [await say(id, peer), await say(id, maker)]
  const mine = state === 'stranger' ? theirs : await say(id, actor)
  const role = state.split(' ').at(-1)!
  await done('PUT', `/rooms/${id}/members/${chief.id}`, maker.token, { role: 'admin' })
  await done('PUT', `/rooms/${id}/mutes/${silenced.id}`, maker.token)
  await done('PUT', `/rooms/${id}/bans/${outcast.id}`, maker.token)
  if (RANK[role]! > 0) await done('PUT', `/rooms/${id}/members/${actor.id}`, maker.token, { role })
  if (state.startsWith('muted')) await done('PUT', `/rooms/${id}/mutes/${actor.id}`, maker.token, { reason: 'hush' })
  if (state === 'left') await done('POST', `/rooms/${id}/leave`, actor.token)
  if (state === 'kicked') await done('DELETE', `/rooms/${id}/members/${actor.id}`, maker.token)
  if (state === 'banned') await done('PUT', `/rooms/${id}/bans/${actor.id}`, maker.token)
  return { id, kind, actor, maker, peer, chief, silenced, outcast, stranger, mine, theirs, makers }
}

async function directRoom (state: State): Promise<Room> {
  const [one, other] = await Promise.all([person(), person()])
  const { id } = await done('POST', '/dms', one.token, { user_id: other.id })
  const [mine, theirs] = [await say(id, one), await say(id, other)]
  const third = state === 'stranger' ? actor : one
  return { id, kind: 'dm', actor: third, maker: other, peer: other, chief: other, silenced: other, outcast: stranger, stranger, mine: state === 'stranger' ? theirs : mine, theirs, makers: theirs }
}

/** Nobody owns the lobby, so nobody gives roles there: they are put where they are kept. */
async function lobbyRoom (state: State): Promise<Room> {
  const [who, boss, its, head, quiet, out] = await Promise.all(Array.from({ length: 6 }, person)) as [Person, Person, Person, Person, Person, Person]
  const id = (await get('/rooms/lobby', who.token)).body.id as string
  const put = async (person: Person, role: string): Promise<void> => { await world.redis.hset(keys.members(id), person.id, `${role}|0|0|0`) }
  await put(boss, 'owner')
  await put(head, 'admin')
  const role = state.split(' ').at(-1)!
  if (RANK[role]! > 0) await put(who, role)
  const [theirs, makers, mine] = [await say(id, its), await say(id, boss), await say(id, who)]
  await done('PUT', `/rooms/${id}/mutes/${quiet.id}`, boss.token)
  await done('PUT', `/rooms/${id}/bans/${out.id}`, boss.token)
  if (state.startsWith('muted')) await done('PUT', `/rooms/${id}/mutes/${who.id}`, boss.token)
  if (state === 'banned') await done('PUT', `/rooms/${id}/bans/${who.id}`, boss.token)
  return { id, kind: 'lobby', actor: who, maker: boss, peer: its, chief: head, silenced: quiet, outcast: out, stranger, mine, theirs, makers }
}

/** One thing that people try to do: how, and from which rank on it is allowed. */
interface Deed {
  readonly name: string
  readonly http: (room: Room) => [method: string, path: string, body?: unknown]
  readonly frame?: (room: Room) => Frame
  /** It leaves the room as it was for all others. */
  readonly harmless?: true
  /** 'ok' or the code, for somebody inside with this rank. */
  readonly expected: (kind: Kind, rank: number, muted: boolean) => 'ok' | RejectionCode
}

const roomy = (kind: Kind): boolean => kind !== 'dm' && kind !== 'lobby'
const from = (rank: number, least: number | boolean): 'ok' | 'forbidden' => (typeof least === 'boolean' ? least : rank >= least) ? 'ok' : 'forbidden'
const talk = (_kind: Kind, _rank: number, muted: boolean): 'ok' | 'muted' => muted ? 'muted' : 'ok'
const keepsOrder = (kind: Kind, rank: number): 'ok' | 'forbidden' => from(rank, kind === 'dm' ? false : 1)
const never = (): 'forbidden' => 'forbidden'
/** Roles are given from admin on, downwards from one's own; by owners, any. */
const gives = (least: number) => (kind: Kind, rank: number): 'ok' | 'forbidden' => from(rank, kind === 'dm' ? false : least)
/** Whoever is muted, of those who may, is told so. */
const quietly = (muted: boolean, otherwise: 'ok' | 'forbidden'): 'ok' | 'forbidden' | 'muted' => muted && otherwise === 'ok' ? 'muted' : otherwise
/** In a group everyone may change what it is called, so they get as far as to hear that they are muted. */
const governs = (kind: Kind, rank: number, muted: boolean): 'ok' | 'forbidden' | 'muted' => {
  if (kind === 'group' && muted) return 'muted'
  return quietly(muted, from(rank, kind === 'dm' ? false : 2))
}
const LATER = '2100-01-01T00:00:00Z'
const onRoom = ({ id }: Room, path = ''): string => `/rooms/${id}${path}`

const DEEDS: readonly Deed[] = [
  { name: 'send', harmless: true, http: room => ['POST', onRoom(room, '/messages'), { content: 'hello' }], frame: ({ id }) => ({ type: 'message', room_id: id, content: 'hello' }), expected: talk },
  { name: 'reply', harmless: true, http: room => ['POST', onRoom(room, '/messages'), { content: 'hello', reply_to: room.theirs }], frame: ({ id, theirs }) => ({ type: 'message', room_id: id, content: 'hello', reply_to: theirs }), expected: talk },
  { name: 'write into a thread', harmless: true, http: room => ['POST', onRoom(room, '/messages'), { content: 'hello', thread: room.theirs }], frame: ({ id, theirs }) => ({ type: 'message', room_id: id, content: 'hello', thread: theirs }), expected: talk },
  { name: 'edit own', harmless: true, http: room => ['PATCH', onRoom(room, `/messages/${room.mine}`), { content: 'other' }], frame: ({ id, mine }) => ({ type: 'edit', room_id: id, message_seq: mine, content: 'other' }), expected: talk },
  { name: 'edit another’s', harmless: true, http: room => ['PATCH', onRoom(room, `/messages/${room.theirs}`), { content: 'other' }], frame: ({ id, theirs }) => ({ type: 'edit', room_id: id, message_id: theirs, content: 'other' }), expected: (_kind, _rank, muted) => muted ? 'muted' : 'forbidden' },
  { name: 'delete own', http: room => ['DELETE', onRoom(room, `/messages/${room.mine}`)], frame: ({ id, mine }) => ({ type: 'delete', room_id: id, message_seq: mine }), expected: () => 'ok' },
  { name: 'delete a member’s', http: room => ['DELETE', onRoom(room, `/messages/${room.theirs}`)], frame: ({ id, theirs }) => ({ type: 'delete', room_id: id, message_seq: theirs }), expected: keepsOrder },
  { name: 'delete an owner’s', http: room => ['DELETE', onRoom(room, `/messages/${room.makers}`)], frame: ({ id, makers }) => ({ type: 'delete', room_id: id, message_seq: makers }), expected: never },
  { name: 'react', harmless: true, http: room => ['PUT', onRoom(room, `/messages/${room.theirs}/reactions/${encodeURIComponent('👍')}`)], frame: ({ id, theirs }) => ({ type: 'react', room_id: id, message_seq: theirs, emoji: '👍' }), expected: talk },
  { name: 'unreact', harmless: true, http: room => ['DELETE', onRoom(room, `/messages/${room.theirs}/reactions/${encodeURIComponent('👍')}`)], frame: ({ id, theirs }) => ({ type: 'unreact', room_id: id, message_seq: theirs, emoji: '👍' }), expected: () => 'ok' },
  ...(['PUT', 'DELETE'] as const).map((method): Deed => ({
    name: method === 'PUT' ? 'pin' : 'unpin',
    harmless: true,
    http: room => [method, onRoom(room, `/pins/${room.theirs}`)],
    expected: (kind, rank, muted) => quietly(muted, from(rank, kind === 'group' || kind === 'dm' ? 0 : 1)),
  })),
  { name: 'join again', harmless: true, http: room => ['POST', onRoom(room, '/join'), {}], frame: ({ id }) => ({ type: 'join', room_id: id }), expected: () => 'ok' },
  { name: 'leave', http: room => ['POST', onRoom(room, '/leave')], frame: ({ id }) => ({ type: 'leave', room_id: id }), expected: kind => from(0, roomy(kind)) },
  { name: 'put oneself out', http: room => ['DELETE', onRoom(room, `/members/${room.actor.id}`)], expected: kind => from(0, roomy(kind)) },
  { name: 'add', http: room => ['PUT', onRoom(room, `/members/${room.stranger.id}`)], expected: (kind, rank) => from(rank, kind === 'group' ? 0 : kind === 'private' || kind === 'protected' ? 1 : false) },
  { name: 'add as moderator', http: room => ['PUT', onRoom(room, `/members/${room.stranger.id}`), { role: 'moderator' }], expected: (kind, rank) => kind === 'dm' || rank < 2 ? 'forbidden' : kind === 'public' ? 'target_not_member' : 'ok' },
  { name: 'kick a member', http: room => ['DELETE', onRoom(room, `/members/${room.peer.id}`), { reason: 'why' }], expected: (kind, rank) => from(rank, roomy(kind) ? 1 : false) },
  { name: 'kick an admin', http: room => ['DELETE', onRoom(room, `/members/${room.chief.id}`)], expected: (kind, rank) => from(rank, roomy(kind) ? 3 : false) },
  { name: 'kick an owner', http: room => ['DELETE', onRoom(room, `/members/${room.maker.id}`)], expected: never },
  { name: 'kick who is not in it', http: room => ['DELETE', onRoom(room, `/members/${room.stranger.id}`)], expected: (kind, rank) => roomy(kind) && rank >= 1 ? 'target_not_member' : 'forbidden' },
  ...(['bans', 'mutes'] as const).flatMap((what): Deed[] => [
    { name: `${what}: a member`, http: room => ['PUT', onRoom(room, `/${what}/${room.peer.id}`), { until: LATER, reason: 'why' }], expected: keepsOrder },
    { name: `${what}: an admin`, http: room => ['PUT', onRoom(room, `/${what}/${room.chief.id}`), {}], expected: (kind, rank) => from(rank, kind === 'dm' ? false : 3) },
    { name: `${what}: an owner`, http: room => ['PUT', onRoom(room, `/${what}/${room.maker.id}`), {}], expected: never },
    { name: `${what}: oneself`, http: room => ['PUT', onRoom(room, `/${what}/${room.actor.id}`), {}], expected: never },
    { name: `${what}: who is not in it`, http: room => ['PUT', onRoom(room, `/${what}/${room.stranger.id}`)], expected: keepsOrder },
  ]),
  { name: 'lift a ban', harmless: true, http: room => ['DELETE', onRoom(room, `/bans/${room.outcast.id}`)], expected: keepsOrder },
  { name: 'list bans', harmless: true, http: room => ['GET', onRoom(room, '/bans')], expected: keepsOrder },
  { name: 'lift a mute', harmless: true, http: room => ['DELETE', onRoom(room, `/mutes/${room.silenced.id}`)], expected: keepsOrder },
  { name: 'make a member moderator', http: room => ['PUT', onRoom(room, `/members/${room.peer.id}`), { role: 'moderator' }], expected: gives(2) },
  { name: 'make a member admin', http: room => ['PUT', onRoom(room, `/members/${room.peer.id}`), { role: 'admin' }], expected: gives(3) },
  { name: 'make a member owner', http: room => ['PUT', onRoom(room, `/members/${room.peer.id}`), { role: 'owner' }], expected: gives(3) },
  { name: 'demote an admin', http: room => ['PUT', onRoom(room, `/members/${room.chief.id}`), { role: 'member' }], expected: (kind, rank) => from(rank, kind === 'dm' ? false : 3) },
  { name: 'demote an owner', http: room => ['PUT', onRoom(room, `/members/${room.maker.id}`), { role: 'member' }], expected: never },
  { name: 'step down', http: room => ['PUT', onRoom(room, `/members/${room.actor.id}`), { role: 'member' }], expected: (_kind, rank) => from(rank, 1) },
  { name: 'rename', harmless: true, http: room => ['PATCH', onRoom(room), { name: room.kind === 'lobby' ? 'lobby' : 'new name', topic: 'new' }], expected: (kind, rank, muted) => quietly(muted, from(rank, kind === 'dm' ? false : kind === 'group' ? 0 : 2)) },
  { name: 'set rules', harmless: true, http: room => ['PATCH', onRoom(room), { message_chars_max: 7999 }], expected: governs },
  { name: 'archive', http: room => ['PATCH', onRoom(room), { archived: true }], expected: (kind, rank, muted) => kind === 'lobby' && rank >= 2 ? 'forbidden' : governs(kind, rank, muted) },
  { name: 'change the password', harmless: true, http: room => ['PATCH', onRoom(room), { password: 'simsalabim' }], expected: (kind, rank) => kind === 'dm' || rank < (kind === 'group' ? 0 : 2) ? 'forbidden' : kind === 'protected' ? 'ok' : 'bad_request' },
  { name: 'remove the room', http: room => ['DELETE', onRoom(room)], expected: (kind, rank) => from(rank, roomy(kind) ? 3 : false) },
  { name: 'invite', harmless: true, http: room => ['POST', onRoom(room, '/invites'), {}], expected: (kind, rank) => from(rank, roomy(kind) ? (kind === 'group' ? 0 : 1) : false) },
  { name: 'list invites', harmless: true, http: room => ['GET', onRoom(room, '/invites')], expected: (kind, rank) => from(rank, roomy(kind) ? (kind === 'group' ? 0 : 1) : false) },
]

/** What a deed comes to, for anyone. */
function expected (deed: Deed, kind: Kind, state: State): 'ok' | RejectionCode {
  if (!(OUTSIDE as readonly State[]).includes(state)) return deed.expected(kind, RANK[state.split(' ').at(-1)!]!, state.startsWith('muted'))
  if (kind !== 'public' && kind !== 'protected' && kind !== 'lobby') return 'room_not_found'
  if (state === 'banned') return 'banned'
  if (deed.name === 'join again') return kind === 'public' ? 'ok' : 'wrong_password'
  return 'not_member'
}

const headOf = async ({ id }: Room): Promise<string | null> => await world.redis.hget(keys.meta(id), 'seq')

interface Answer { readonly result: string, readonly whole: unknown }

async function byHttp ({ http }: Deed, room: Room, gateway: Pick<typeof elsewhere, 'call'> = elsewhere): Promise<Answer> {
  const [method, path, body] = http(room)
  const { status, body: answer } = await gateway.call(method, path, { token: room.actor.token, body })
  if (status < 300) return { result: 'ok', whole: answer }
  const code = answer.code as RejectionCode
  return { result: status === REJECTIONS[code]?.status ? code : `${status} ${code}`, whole: { status, answer } }
}

async function byFrame ({ frame }: Deed, room: Room): Promise<Answer> {
  const { ref: _, ...answer } = await (await socketOf(room.actor)).request(frame!(room))
  return { result: answer.type === 'error' ? answer.code : 'ok', whole: answer }
}

for (const kind of KINDS) {
  for (const state of statesOf(kind)) {
    t.test(`${kind}: ${state}`, async t => {
      const ways = DEEDS.flatMap(deed => [{ deed, way: 'HTTP', run: byHttp }, ...deed.frame === undefined ? [] : [{ deed, way: 'frame', run: byFrame }]])
      const refused = await roomFor(kind, state)
      const head = await headOf(refused)
      for (const { deed, way, run } of ways.filter(({ deed }) => expected(deed, kind, state) !== 'ok')) {
        t.equal((await run(deed, refused)).result, expected(deed, kind, state), `${deed.name} by ${way}`)
      }
      t.equal(await headOf(refused), head, 'what is refused leaves nothing in the log')
      for (const { deed, way, run } of ways.filter(({ deed }) => expected(deed, kind, state) === 'ok')) {
        const room = deed.harmless === true ? refused : await roomFor(kind, state)
        const before = await headOf(room)
        const { result, whole } = await run(deed, room)
        t.equal(result, 'ok', `${deed.name} by ${way} ${result === 'ok' ? '' : JSON.stringify(whole)}`)
        const { changed, seq } = whole as { changed?: boolean, seq?: number }
        if (changed === false) t.equal(await headOf(room), before)
        else if (seq !== undefined) t.ok(seq > Number(before), `${deed.name} by ${way} is in the log`)
      }
    })
  }
}

/** What may be read of a room, and asked of it without being able to. */
const READS = ['', '/messages', '/messages/1', '/messages/1/edits', '/events', '/members', '/pins', '/threads/1', '/audit', '/bans', '/invites', '/search?q=words']
const QUESTIONS = (id: string): Frame[] => [
  { type: 'subscribe', room_id: id }, { type: 'subscribe', room_id: id, after: { seq: 0 } }, { type: 'subscribe', room_id: id, after: { seq: 1, chain: '0123456789abcdef' } },
  { type: 'typing', room_id: id, active: true }, { type: 'read', room_id: id, seq: 1 }, { type: 'join', room_id: id, password: 'open sesame' }, { type: 'join', room_id: id, invite: 'made-up' },
]

for (const kind of ['private', 'group', 'dm'] as const) {
  for (const state of kind === 'dm' ? ['stranger'] as const : OUTSIDE) {
    t.test(`to whom is ${state}, a ${kind} room is answered for as one that does not exist`, async t => {
      const room = await roomFor(kind, state)
      const missing: Room = { ...room, id: uuidv7() }
      const same = (a: unknown, b: unknown, what: string): void => { t.same(JSON.parse(JSON.stringify(a).replaceAll(room.id, 'ID')), JSON.parse(JSON.stringify(b).replaceAll(missing.id, 'ID')), what) }
      for (const deed of DEEDS) {
        same(await byHttp(deed, room), await byHttp(deed, missing), `${deed.name} by HTTP`)
        if (deed.frame !== undefined) same(await byFrame(deed, room), await byFrame(deed, missing), `${deed.name} by frame`)
      }
      const { call } = http(world.urlOf(1))
      const { token } = room.actor
      for (const path of READS) {
        const read = async (id: string) => { const { status, body } = await call('GET', `/rooms/${id}${path}`, { token }); return { status, body } }
        same(await read(room.id), await read(missing.id), `GET …${path}`)
      }
      for (const body of [{ password: 'open sesame' }, { invite: 'made-up' }]) {
        const join = async (id: string) => { const { status, body: answer } = await call('POST', `/rooms/${id}/join`, { token, body }); return { status, answer } }
        same(await join(room.id), await join(missing.id), `join with ${Object.keys(body).join()}`)
      }
      const socket = await socketOf(room.actor)
      for (const [i, frame] of QUESTIONS(room.id).entries()) {
        const ask = async (frame: Frame) => { const { ref: _, ...answer } = await socket.request(frame); return answer }
        same(await ask(frame), await ask(QUESTIONS(missing.id)[i]!), `${frame.type} by frame`)
      }
      for (const path of ['/rooms', '/rooms/public', '/rooms/public?query=secret']) t.notMatch(JSON.stringify((await call('GET', path, { token })).body), room.id, path)
    })
  }
}

t.test('of a protected room, outsiders see name and kind', async t => {
  const { id, actor } = await roomFor('protected', 'stranger')
  t.same((await get(`/rooms/${id}`, actor.token)).body, { id, name: 'secret name', kind: 'protected', member: false, role: 'none' })
  for (const path of READS.slice(1, 5)) t.match(await get(`/rooms/${id}${path}`, actor.token), { status: 403, body: { code: 'not_member' } }, path)
  t.match(await post(`/rooms/${id}/join`, { password: 'sesame open' }, actor.token), { status: 403, body: { code: 'wrong_password' } })
  t.match(await post(`/rooms/${id}/join`, { password: 'open sesame' }, actor.token), { status: 200, body: { changed: true } })
  t.equal((await get(`/rooms/${id}/messages`, actor.token)).status, 200)
})

t.test('whoever was kicked from a public room reads it again once they have rejoined, whoever is banned never', async t => {
  for (const state of ['kicked', 'banned'] as const) {
    const { id, actor } = await roomFor('public', state)
    const code = state === 'kicked' ? 'not_member' : 'banned'
    for (const path of READS.slice(0, 5)) t.match(await get(`/rooms/${id}${path}`, actor.token), { status: 403, body: { code } }, `${state} ${path}`)
    t.equal((await post(`/rooms/${id}/join`, {}, actor.token)).status, state === 'kicked' ? 200 : 403)
    t.equal((await get(`/rooms/${id}/messages`, actor.token)).status, state === 'kicked' ? 200 : 403)
  }
})

t.test('two owners who go at the same time: one stays', async t => {
  const { call: here } = http(world.urlOf(0))
  const { call: there } = http(world.urlOf(1))
  const stepDown = (id: string, who: Person, call: typeof here) => call('PUT', `/rooms/${id}/members/${who.id}`, { token: who.token, body: { role: 'member' } })
  const leave = (id: string, who: Person, call: typeof here) => call('POST', `/rooms/${id}/leave`, { token: who.token })
  const ways = [stepDown, leave]
  for (let round = 0; round < 24; round++) {
    const { id, maker, actor } = await roomFor('group', 'owner')
    const both = await Promise.all([ways[round % 2]!(id, maker, here), ways[(round >> 1) % 2]!(id, actor, there)])
    t.same(both.map(({ status }) => status).sort(), [200, 409])
    t.equal(both.find(({ status }) => status === 409)!.body.code, 'last_owner')
    const roles = await Promise.all([maker, actor].map(async who => (await get(`/rooms/${id}`, who.token)).body.role))
    t.equal(roles.filter(role => role === 'owner').length, 1)
    t.equal(await world.redis.hget(keys.meta(id), 'owners'), '1')
  }
})

t.test('a room that was deleted is gone for everyone, at once', async t => {
  const room = await roomFor('public', 'member')
  await socketOf(peer)
  t.equal((await call('DELETE', `/rooms/${room.id}`, { token: maker.token })).status, 204)
  for (const who of [maker, room.actor, room.stranger]) {
    t.match(await elsewhere.get(`/rooms/${room.id}`, who.token), { status: 404, body: { code: 'room_not_found' } })
    t.match(await elsewhere.post(`/rooms/${room.id}/join`, {}, who.token), { status: 404, body: { code: 'room_not_found' } })
    for (const path of ['/rooms', '/rooms/public']) t.notMatch(JSON.stringify((await elsewhere.get(path, who.token)).body), room.id)
  }
  t.match(await call('DELETE', `/rooms/${room.id}`, { token: maker.token }), { status: 404, body: { code: 'room_not_found' } })
})
