// Web Push from end to end: who is told of what, once, encrypted for their browser alone; and who is not.
import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../until.ts'
import { jobsWorld, receiver, vapidClaims } from './stand.ts'

const world = await jobsWorld(t)
const { http, person, waiting, notifications } = world
const service = await receiver(t)
await world.jobs()

/** Until every room was looked at and everything queued was sent or dropped. */
async function quiet (): Promise<void> {
  await world.projected()
  await until(async () => await waiting() === 0 && (await notifications()).every(({ state }) => state !== 'waiting'), { what: 'all rooms to be looked at' })
}

async function room (owner: { token: string }, ...members: Array<{ join: (room: string) => Promise<unknown> }>): Promise<string> {
  const id = await world.room(owner.token, 'the kitchen')
  for (const member of members) await member.join(id)
  return id
}

const at = (path: string) => service.received.filter(received => received.path === path)

t.test('who is away is told once, of all that came, by an encrypted push of the deployment', async t => {
  const [ann, bob] = [await person('ann'), await person('bob')]
  const phone = await bob.subscribe(`${service.url}/bob`)
  await ann.subscribe(`${service.url}/ann`)
  const kitchen = await room(ann, bob)
  for (const text of ['one', 'two', 'three is a long one: '.repeat(50)]) await ann.say(kitchen, text)
  await until(() => at('/bob').length > 0)
  await quiet()
  t.equal(at('/bob').length, 1)
  t.equal(at('/ann').length, 0, 'nobody is told of what they said themselves')
  const [push] = at('/bob')
  const { preview, ...told } = phone.decrypt(push!)
  t.match(told, { type: 'message', room_id: kitchen, room_name: 'the kitchen', room_kind: 'public', count: 3, mentions: 0, user_id: ann.id, username: 'ann' })
  t.equal([...preview].length, 200)
  t.match(push!.headers, { ttl: '86400', topic: kitchen.replaceAll('-', ''), urgency: 'normal' })
  const { key } = (await http.get('/push/key', bob.token)).body
  const claims = vapidClaims(push!, key)
  t.match(claims, { aud: service.url, sub: 'mailto:operator@millrace.invalid' })
  t.throws(() => vapidClaims(push!, key.replace(/..$/, 'AA')))
  t.match((await http.get('/me/push-subscriptions', bob.token)).body.items, [{ id: phone.id, current: true, last_sent_at: /^\d/ }])

  await ann.say(kitchen, 'four')
  await until(() => at('/bob').length > 1)
  await quiet()
  t.equal(at('/bob').length, 2)
  t.match(phone.decrypt(at('/bob')[1]!), { count: 4, preview: 'four' }, 'what waits for them is counted; only what is new is told')
})

t.test('who has read, or was delivered on any device, before the delay is over gets none', async t => {
  const [ann, bob, cat, dan] = [await person(), await person(), await person(), await person()]
  for (const [name, who] of Object.entries({ reader: bob, receiver: cat, neither: dan })) await who.subscribe(`${service.url}/${name}`)
  const id = await room(ann, bob, cat, dan)
  const seq = await ann.say(id, 'hello')
  t.equal((await http.call('PUT', `/rooms/${id}/read`, { token: bob.token, body: { seq } })).status, 200)
  const socket = await world.connect(0, cat.token, { device_id: 'a laptop' })
  socket.send({ type: 'delivered', rooms: { [id]: seq } })
  await until(() => at('/neither').length > 0)
  await quiet()
  await socket.close()
  t.same([at('/reader').length, at('/receiver').length, at('/neither').length], [0, 0, 1])
})

t.test('wishes are kept: muted rooms, only mentions, hours not to be disturbed, people who are blocked', async t => {
  const ann = await person()
  const people = { muted: await person('muted1'), mentions: await person('mentions1'), dnd: await person('dnd1'), blocker: await person('blocker1'), night: await person('night1') }
  const browsers = Object.fromEntries(await Promise.all(Object.entries(people).map(async ([name, who]) => [name, await who.subscribe(`${service.url}/wish/${name}`)] as const)))
  const id = await room(ann, ...Object.values(people))
  const put = async (token: string, path: string, body: object, method = 'PUT') => { t.match((await http.call(method, path, { token, body })).status, /^20/) }
  await put(people.muted.token, `/rooms/${id}/notifications`, { level: 'none' })
  await put(people.mentions.token, `/rooms/${id}/notifications`, { level: 'mentions' })
  await put(people.dnd.token, '/me/notifications', { dnd_until: new Date(Date.now() + 3_600_000).toISOString() }, 'PATCH')
  await put(people.night.token, '/me/notifications', { dnd_hours: { from: '00:00', to: '23:59' }, time_zone: 'UTC' }, 'PATCH')
  await http.call('PUT', `/blocks/${ann.id}`, { token: people.blocker.token })
  await ann.say(id, 'for all')
  await ann.say(id, 'for @mentions1 and @muted1 and @dnd1')
  await ann.say(id, 'for nobody')
  await until(() => at('/wish/mentions').length > 0)
  await quiet()
  t.same(Object.keys(people).filter(name => at(`/wish/${name}`).length > 0), ['mentions'])
  t.match(browsers.mentions!.decrypt(at('/wish/mentions')[0]!), { type: 'mention', count: 3, mentions: 1, preview: 'for @mentions1 and @muted1 and @dnd1' })
  t.equal(at('/wish/mentions')[0]!.headers.urgency, 'high')
})

t.test('who said on a device that is there not to be disturbed is not', async t => {
  const [ann, bob, cat] = [await person(), await person(), await person()]
  await bob.subscribe(`${service.url}/busy`)
  await cat.subscribe(`${service.url}/free`)
  const id = await room(ann, bob, cat)
  const socket = await world.connect(0, bob.token)
  socket.send({ type: 'presence', status: 'dnd' })
  await until(async () => (await http.get(`/users/${bob.id}/presence`, bob.token)).body.status === 'dnd')
  await ann.say(id, 'hello')
  await until(() => at('/free').length > 0)
  await quiet()
  t.equal(at('/busy').length, 0)
  await socket.close()
})

t.test('what was deleted, and what those who were put out may not read any more, is told to nobody', async t => {
  const [ann, bob, cat] = [await person(), await person(), await person()]
  const phone = await bob.subscribe(`${service.url}/deleted`)
  await cat.subscribe(`${service.url}/kicked`)
  const id = await room(ann, bob, cat)
  await ann.say(id, 'stays')
  const seq = await ann.say(id, 'a secret')
  t.equal((await http.call('DELETE', `/rooms/${id}/messages/${seq}`, { token: ann.token })).status, 200)
  t.equal((await http.call('DELETE', `/rooms/${id}/members/${cat.id}`, { token: ann.token })).status, 200)
  await until(() => at('/deleted').length > 0)
  await quiet()
  t.match(phone.decrypt(at('/deleted')[0]!), { preview: 'stays', count: 1 })
  t.equal(at('/kicked').length, 0)
})

t.test('everyone is in the lobby; what came before they signed up is no news', async t => {
  const ann = await person()
  await ann.say('lobby', 'long ago')
  const bob = await person()
  const phone = await bob.subscribe(`${service.url}/lobby`)
  const seq = await ann.say('lobby', 'welcome')
  await until(() => at('/lobby').length > 0)
  await quiet()
  t.match(at('/lobby').map(push => phone.decrypt(push)), [{ room_kind: 'lobby', count: 1, seq, preview: 'welcome' }])
})

t.test('a browser that is gone is forgotten, and so is one whose session has ended', async t => {
  const [ann, bob] = [await person(), await person('bob the third')]
  const second = await world.http.login('bob the third', 'correct horse battery')
  const gone = await receiver(t, () => ({ status: 410 }))
  await bob.subscribe(`${gone.url}/gone`)
  const other = await bob.subscribe(`${service.url}/other session`.replace(' ', '-'))
  t.equal((await http.call('PUT', '/me/push-subscriptions', { token: second.access_token, body: { ...other.subscription, endpoint: `${service.url}/ended` } })).status, 200)
  const list = async () => (await http.get('/me/push-subscriptions', bob.token)).body.items.map(({ endpoint }: { endpoint: string }) => new URL(endpoint).pathname)
  t.same(await list(), ['/ended', '/other-session', '/gone'])
  t.equal((await http.post('/auth/logout', {}, second.access_token)).status, 204)
  t.same(await list(), ['/other-session', '/gone'])
  const id = await room(ann, bob)
  await ann.say(id, 'hello')
  await until(() => gone.received.length > 0 && at('/other-session').length > 0)
  await until(async () => (await list()).length === 1)
  await quiet()
  t.same(await list(), ['/other-session'])
  t.equal(at('/ended').length, 0)
  t.equal(gone.received.length, 1)
})

t.test('a push service that fails is tried again, unless its reader came back meanwhile', async t => {
  const [ann, bob, cat] = [await person(), await person(), await person()]
  const flaky = await receiver(t, ({ path }, nth) => ({ status: path === '/cat' || nth < 4 ? 503 : 201 }))
  await bob.subscribe(`${flaky.url}/bob`)
  await cat.subscribe(`${flaky.url}/cat`)
  const id = await room(ann, bob, cat)
  const seq = await ann.say(id, 'hello')
  await until(() => flaky.received.some(({ path }) => path === '/cat'))
  await http.call('PUT', `/rooms/${id}/read`, { token: cat.token, body: { seq } })
  await quiet()
  const of = async (user: { id: string }) => (await notifications()).filter(({ user_id }) => user_id === user.id).map(({ state, reason }) => [state, reason])
  t.same([await of(bob), await of(cat)], [[['sent', null]], [['suppressed', 'seen']]])
})

t.test('many browsers of one push service, which most are, do not wait for each other', async t => {
  const ann = await person()
  const people = await Promise.all(Array.from({ length: 6 }, async () => await person()))
  for (const who of people) await Promise.all(Array.from({ length: 20 }, async (_, i) => await who.subscribe(`${service.url}/many/${who.id}/${i}`)))
  const many = () => service.received.filter(({ path }) => path.startsWith('/many/'))
  const id = await room(ann, ...people)
  await ann.say(id, 'hello')
  await until(() => many().length > 0)
  const began = performance.now()
  await until(() => many().length === 120, { timeoutMs: 60_000, what: 'all to be told' })
  const ms = performance.now() - began
  t.ok(ms < 20_000, `120 pushes in ${Math.round(ms)} ms`)
  await quiet()
})

t.test('nothing is told again, however often a room is looked at, or its projection begins anew', async t => {
  const [ann, bob] = [await person(), await person()]
  await bob.subscribe(`${service.url}/again`)
  const id = await room(ann, bob)
  const seq = await ann.say(id, 'hello')
  await until(() => at('/again').length > 0)
  await quiet()
  await world.store.query('INSERT INTO notification_rooms (room_id, first_seq, last_seq, waiting_since) VALUES ($1, 1, $2, now() - interval \'1 minute\')', [id, seq])
  await quiet()
  await sleep(700) // were there a job, it would be taken by now
  t.equal(at('/again').length, 1)

  // Histories have parted: another message stands where the one was that they were told of.
  await world.store.query("UPDATE notified SET chain = 'ffffffffffffffff', newest = newest - interval '1 second' WHERE room_id = $1", [id])
  await world.store.query('INSERT INTO notification_rooms (room_id, first_seq, last_seq, waiting_since) VALUES ($1, 1, $2, now() - interval \'1 minute\')', [id, seq])
  await until(() => at('/again').length > 1)
})
