// Invites over HTTP, and redeeming them: an invite lets in as many people as it says, each counted once, under any race.
import t from 'tap'
import { addInvite, INVITES_PER_ROOM_MAX, redeemInvite } from '../../src/store/invites.ts'
import { uuidv7 } from '../../src/ids.ts'
import { testStack } from './stack.ts'

const DAY_MS = 86_400_000
let ahead = 0
const stack = await testStack(t, { clock: () => Date.now() + ahead })
const { get, post, call, store } = stack
const other = await stack.gateway()

async function person (username: string) {
  const { user, access_token } = (await post('/auth/guest', { username })).body
  return { id: user.id as string, token: access_token as string }
}
type Person = Awaited<ReturnType<typeof person>>

const owner = await person('owner')
const outsider = await person('outsider')
const room = async (kind = 'private', more = {}): Promise<string> => (await post('/rooms', { name: 'a room', kind, ...more }, owner.token)).body.id
const invite = async (id: string, body = {}, who: Person = owner) => await post(`/rooms/${id}/invites`, body, who.token)
const join = async (id: string, code: string, who: Person, gateway: Pick<typeof stack, 'post'> = stack) => await gateway.post(`/rooms/${id}/join`, { invite: code }, who.token)
const bring = async (id: string, who: Person): Promise<void> => { t.equal((await join(id, (await invite(id)).body.code, who)).status, 200) }
const used = async (invite: string) => (await store.query('SELECT used, (SELECT count(*) FROM invite_uses WHERE invite_id = id) AS people FROM invites WHERE id = $1', [invite])).rows[0]

t.test('an invite lets people into a private room', async t => {
  const id = await room()
  const made = await invite(id, { expires_in: 3600, uses: 2 })
  t.equal(made.status, 201)
  t.equal(made.headers.get('cache-control'), 'no-store')
  t.match(made.body, { id: String, code: /^[\w-]{22}$/, room_id: id, created_by: owner.id, uses: 2, used: 0 })
  t.ok(Math.abs(Date.parse(made.body.expires_at) - Date.now() - 3_600_000) < 5000)
  const [ann, bob, cy] = [await person('ann'), await person('bob'), await person('cy')]
  t.match(await join(id, made.body.code, ann), { status: 200, body: { room_id: id, changed: true, seq: 2 } })
  t.equal((await get(`/rooms/${id}`, ann.token)).body.role, 'member')
  t.match(await join(id, made.body.code, ann), { status: 200, body: { changed: false } }, 'who is in needs none')
  await post(`/rooms/${id}/leave`, {}, ann.token)
  t.match(await join(id, made.body.code, ann), { status: 200, body: { changed: true } }, 'who was let in comes back with it')
  t.equal((await join(id, made.body.code, bob)).status, 200)
  t.match(await join(id, made.body.code, cy), { status: 403, body: { code: 'bad_invite', field: 'invite' } }, 'used up')
  t.same(await used(made.body.id), { used: 2, people: 2 })
})

t.test('what is left out is seven days and a thousand people; both have bounds', async t => {
  const id = await room()
  const { body } = await invite(id)
  t.equal(body.uses, 1000)
  t.ok(Math.abs(Date.parse(body.expires_at) - Date.now() - 7 * DAY_MS) < 5000)
  t.equal((await post(`/rooms/${id}/invites`, undefined, owner.token)).status, 201, 'without a body')
  for (const bad of [{ uses: 0 }, { uses: 1001 }, { uses: 1.5 }, { uses: '5' }, { expires_in: 0 }, { expires_in: 30 * 86_400 + 1 }, { expires_in: null }]) {
    t.match(await invite(id, bad), { status: 400, body: { code: 'bad_request', field: Object.keys(bad)[0] } }, JSON.stringify(bad))
  }
})

t.test('neither code nor anything that it could be made of is stored', async t => {
  const id = await room()
  const { body: { code } } = await invite(id)
  const { rows } = await store.query<{ row: string }>('SELECT invites::text AS row FROM invites WHERE room_id = $1', [id])
  t.equal(rows.length, 1)
  t.notMatch(rows[0]!.row, code)
  t.notMatch(JSON.stringify((await get(`/rooms/${id}/invites`, owner.token)).body), code)
})

t.test('an invite ends by itself', async t => {
  const id = await room()
  const { body: { code } } = await invite(id, { expires_in: 60 })
  t.teardown(() => { ahead = 0 })
  ahead = 61_000
  t.match(await join(id, code, await person('late')), { status: 403, body: { code: 'bad_invite' } })
  t.same((await get(`/rooms/${id}/invites`, owner.token)).body, { items: [], next: null })
})

t.test('an invite is revoked by its ID or its code, by its maker and by moderators', async t => {
  const id = await room('group')
  const [ann, bob, cy] = [await person('ann 2'), await person('bob 2'), await person('cy 2')]
  for (const who of [ann, bob]) await bring(id, who)
  const [first, second, third] = [(await invite(id, {}, ann)).body, (await invite(id, {}, ann)).body, (await invite(id, {}, ann)).body]
  const revoke = async (which: string, who: Person) => await call('DELETE', `/rooms/${id}/invites/${which}`, { token: who.token })
  for (const which of [first.id, first.code, uuidv7(), 'nonsense']) t.match(await revoke(which, bob), { status: 404, body: { code: 'not_found' } }, 'others cannot tell it from none')
  t.equal((await revoke(first.id, ann)).status, 204)
  t.equal((await revoke(second.code, ann)).status, 204)
  t.equal((await revoke(third.id, owner)).status, 204)
  t.equal((await revoke(third.id, owner)).status, 404)
  for (const { code } of [first, second, third]) t.match(await join(id, code, cy), { status: 403, body: { code: 'bad_invite' } })
  t.match(await revoke('a b', owner), { status: 400, body: { code: 'bad_request' } })
})

t.test('members see their own invites, moderators all that are good', async t => {
  const id = await room('group')
  const [ann, bob] = [await person('ann 3'), await person('bob 3')]
  for (const who of [ann, bob]) await bring(id, who)
  const mine = (await invite(id, {}, ann)).body
  await invite(id, {}, bob)
  const list = async (who: Person) => (await get(`/rooms/${id}/invites`, who.token)).body
  const { code: _, ...shown } = mine
  t.same(await list(ann), { items: [shown], next: null })
  t.equal((await list(owner)).items.length, 4)
  t.equal((await list(owner)).items[0].created_by, bob.id, 'newest first')
})

t.test('only those invite who may, and to outsiders a closed room does not exist', async t => {
  const ann = await person('ann 4')
  const may = async (kind: string, more = {}): Promise<number> => {
    const id = await room(kind, more)
    if (kind === 'public') await post(`/rooms/${id}/join`, {}, ann.token)
    else await bring(id, ann)
    return (await invite(id, {}, ann)).status
  }
  t.same([await may('public'), await may('private'), await may('protected', { password: 'open sesame' }), await may('group')], [403, 403, 403, 201])
  t.match(await invite('lobby', {}, ann), { status: 403, body: { code: 'forbidden' } })
  t.match(await invite(await room('public'), {}, outsider), { status: 403, body: { code: 'not_member' } })
  const gone = uuidv7()
  for (const kind of ['private', 'group']) {
    const id = await room(kind)
    const { body: { code, id: inviteId } } = await invite(id)
    const both = async (at: string) => [
      await invite(at, {}, outsider),
      await get(`/rooms/${at}/invites`, outsider.token),
      await call('DELETE', `/rooms/${at}/invites/${inviteId}`, { token: outsider.token }),
      await call('DELETE', `/rooms/${at}/invites/${code}`, { token: outsider.token }),
      await join(at, 'made-up', outsider),
    ].map(({ status, body }) => [status, body])
    t.same(await both(id), await both(gone), kind)
  }
})

t.test('fifty people at once: as many come in as the invite says', async t => {
  const id = await room()
  const { body: { code, id: inviteId } } = await invite(id, { uses: 10 })
  const people = await Promise.all(Array.from({ length: 50 }, async (_, i) => await person(`crowd ${i}`)))
  const answers = await Promise.all(people.map(async (who, i) => await join(id, code, who, i % 2 === 0 ? stack : other)))
  t.equal(answers.filter(({ status }) => status === 200).length, 10)
  t.ok(answers.every(({ status, body }) => status === 200 || (status === 403 && body.code === 'bad_invite')))
  t.same(await used(inviteId), { used: 10, people: 10 })
  t.equal((await get(`/rooms/${id}`, owner.token)).body.members, 11)
})

t.test('one person counts once, however often they come at once', async t => {
  const invite = { id: uuidv7(), room_id: uuidv7(), code: 'one person', created_by: owner.id, created_at: new Date(), expires_at: new Date(Date.now() + DAY_MS) }
  for (const uses of [1, 5]) {
    const [mine, code] = [{ ...invite, id: uuidv7(), uses }, `code ${uses}`]
    t.equal(await addInvite(store, { ...mine, code }), 'added')
    const results = await Promise.all(Array.from({ length: 20 }, async () => await redeemInvite(store, { room_id: mine.room_id, code, user_id: outsider.id, now: new Date() })))
    t.same(new Set(results), new Set(['good']))
    t.same(await used(mine.id), { used: 1, people: 1 })
  }
})

t.test('redeeming says whether a code is good, spent or unknown', async t => {
  const made = { id: uuidv7(), room_id: uuidv7(), code: 'c', created_by: owner.id, created_at: new Date(0), expires_at: new Date(1000), uses: 1 }
  await addInvite(store, made)
  const at = async (ms: number, more = {}) => await redeemInvite(store, { room_id: made.room_id, code: 'c', user_id: outsider.id, now: new Date(ms), ...more })
  t.equal(await at(1000), 'spent', 'expired')
  t.equal(await at(999, { code: 'C' }), 'unknown')
  t.equal(await at(999, { room_id: uuidv7() }), 'unknown', 'of another room')
  t.equal(await at(999, { mayInvite: async () => false }), 'spent')
  t.same(await used(made.id), { used: 0, people: 0 })
  t.equal(await at(999, { mayInvite: async (maker: string) => maker === owner.id }), 'good')
  t.equal(await at(999), 'good', 'again')
  t.equal(await at(999, { user_id: owner.id }), 'spent', 'used up')
})

t.test('an invite is void once its maker has left or may not invite any more', async t => {
  const id = await room()
  const [ann, bob, cy] = [await person('ann 5'), await person('bob 5'), await person('cy 5')]
  await bring(id, ann)
  await call('PUT', `/rooms/${id}/members/${ann.id}`, { token: owner.token, body: { role: 'moderator' } })
  const { body: { code } } = await invite(id, {}, ann)
  t.equal((await join(id, code, bob)).status, 200)
  await call('PUT', `/rooms/${id}/members/${ann.id}`, { token: owner.token, body: { role: 'member' } })
  t.match(await join(id, code, cy), { status: 403, body: { code: 'bad_invite' } }, 'demoted')
  await call('PUT', `/rooms/${id}/members/${ann.id}`, { token: owner.token, body: { role: 'moderator' } })
  await post(`/rooms/${id}/leave`, {}, ann.token)
  t.match(await join(id, code, cy), { status: 403, body: { code: 'bad_invite' } }, 'gone')
})

t.test('an invite lets in who was kicked, and never who is banned', async t => {
  const id = await room()
  const [ann, bob] = [await person('ann 6'), await person('bob 6')]
  for (const who of [ann, bob]) await bring(id, who)
  const { body: { code, id: inviteId } } = await invite(id)
  await call('DELETE', `/rooms/${id}/members/${ann.id}`, { token: owner.token })
  t.equal((await join(id, code, ann)).status, 200)
  await call('PUT', `/rooms/${id}/bans/${bob.id}`, { token: owner.token })
  t.match(await join(id, code, bob), { status: 404, body: { code: 'room_not_found' } })
  t.same(await used(inviteId), { used: 1, people: 1 }, 'it is not used up by them')
})

t.test('a room has a bounded number of invites that are good, and keeps a bounded number that are over', async t => {
  const id = await room()
  await Promise.all(Array.from({ length: INVITES_PER_ROOM_MAX - 1 }, async () => await invite(id)))
  const answers = await Promise.all(Array.from({ length: 20 }, async () => await invite(id)))
  t.equal(answers.filter(({ status }) => status === 201).length, 1)
  t.match(answers.find(({ status }) => status !== 201), { status: 422, body: { code: 'too_many' } })
  t.equal((await get(`/rooms/${id}/invites`, owner.token)).body.items.length, INVITES_PER_ROOM_MAX)

  await store.query(`
    INSERT INTO invites (id, room_id, code_hash, created_by, created_at, expires_at, uses)
    SELECT gen_random_uuid(), $1, sha256(n::text::bytea), $2, now(), now(), 1
      FROM generate_series(1, 1500) AS n`, [id, owner.id])
  const [{ id: one }] = (await get(`/rooms/${id}/invites`, owner.token)).body.items
  await call('DELETE', `/rooms/${id}/invites/${one}`, { token: owner.token })
  t.equal((await invite(id)).status, 201)
  t.equal((await store.query<{ count: number }>('SELECT count(*) FROM invites WHERE room_id = $1', [id])).rows[0]!.count, INVITES_PER_ROOM_MAX + 1000)
})

t.test('a room that is deleted takes its invites with it', async t => {
  const id = await room()
  const { body: { code } } = await invite(id)
  t.equal((await call('DELETE', `/rooms/${id}`, { token: owner.token })).status, 204)
  t.match(await join(id, code, outsider), { status: 404, body: { code: 'room_not_found' } })
  t.equal((await store.query('SELECT FROM invites WHERE room_id = $1', [id])).rowCount, 0)
})

t.test('every table and column has a comment', async t => {
  const { rows } = await store.query(`
    SELECT c.relname, a.attname
      FROM pg_class AS c
      LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relname = ANY ($1)
       AND c.relkind = 'r'
       AND (obj_description(c.oid) IS NULL OR col_description(c.oid, a.attnum) IS NULL)`, [['invites', 'invite_uses', 'room_passwords']])
  t.same(rows, [])
})
