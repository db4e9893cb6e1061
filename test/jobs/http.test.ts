// The routes of notifications: subscriptions, webhooks and wishes of one person, bounded, and nobody else's.
import t from 'tap'
import { randomBytes } from 'node:crypto'
import { testStack } from '../http/stack.ts'
import { browser } from './stand.ts'

const { post, get, call, store, gateway } = await testStack(t)

async function person (username: string) {
  const { user, access_token } = (await post('/auth/guest', { username })).body
  return { id: user.id as string, token: access_token as string }
}
const [ann, bob] = [await person('ann'), await person('bob')]
const put = async (body: object, token = ann.token) => await call('PUT', '/me/push-subscriptions', { token, body })

t.test('a browser subscribes, again without a second subscription, and with keys that can be encrypted for', async t => {
  const { subscription } = browser('https://push.example/1')
  const { status, body } = await put(subscription)
  t.match([status, body], [200, { endpoint: 'https://push.example/1', current: true, last_sent_at: null }])
  t.equal((await put(subscription)).body.id, body.id)
  const padded = { ...subscription.keys, auth: Buffer.from(subscription.keys.auth, 'base64url').toString('base64') }
  t.equal((await put({ ...subscription, keys: padded })).body.id, body.id, 'as other browsers spell it')
  t.equal((await get('/me/push-subscriptions', ann.token)).body.items.length, 1)
  const bad = [
    { ...subscription, endpoint: 'http://push.example/1' },
    { ...subscription, endpoint: 'https://127.0.0.1/1' },
    { ...subscription, endpoint: 'nowhere' },
    { ...subscription, keys: { ...subscription.keys, p256dh: randomBytes(65).toString('base64url') } },
    { ...subscription, keys: { ...subscription.keys, auth: randomBytes(32).toString('base64url') } },
    { endpoint: 'https://push.example/1' },
  ]
  for (const wrong of bad) t.match(await put(wrong), { status: 400, body: { code: 'bad_request' } }, JSON.stringify(wrong).slice(0, 60))
  t.equal((await call('DELETE', `/me/push-subscriptions/${body.id}`, { token: bob.token })).status, 404)
  t.equal((await put(subscription, bob.token)).body.id, body.id, 'who signs in on this browser next has it')
  t.same((await get('/me/push-subscriptions', ann.token)).body.items, [])
  t.equal((await call('DELETE', `/me/push-subscriptions/${body.id}`, { token: bob.token })).status, 204)
})

t.test('the key is made once, is the same on every gateway, and the private one is nowhere', async t => {
  const { key } = (await get('/push/key', ann.token)).body
  t.equal(Buffer.from(key, 'base64url').length, 65)
  const other = await gateway()
  t.equal((await other.get('/push/key', bob.token)).body.key, key)
  t.equal((await store.query('SELECT FROM vapid_keys')).rowCount, 1)
})

t.test('webhooks are their owner\'s, with URLs that may be posted to, and of rooms that they are in', async t => {
  const make = async (body: object, token = ann.token) => await post('/webhooks', body, token)
  const room = (await post('/rooms', { name: 'hers', kind: 'private' }, ann.token)).body.id
  const { status, body } = await make({ url: 'https://example.com/hook', room_id: room, events: ['mention'] })
  t.match([status, body], [201, { url: 'https://example.com/hook', room_id: room, events: ['mention'], enabled: true, last_delivery: null, secret: /^whsec_/ }])
  for (const url of ['http://127.0.0.1/', 'http://[::1]/', 'https://localhost/x', 'ftp://example.com/', 'https://a:b@example.com/']) t.match(await make({ url }), { status: 400, body: { code: 'bad_request', field: 'url' } }, url)
  t.match(await make({ url: 'https://example.com/', room_id: room }, bob.token), { status: 404, body: { code: 'room_not_found' } })
  t.match(await make({ url: 'https://example.com/', events: [] }), { status: 400 })
  t.equal((await make({ url: 'https://example.com/', room_id: 'lobby' })).status, 201)
  for (const [method, path, sent] of [['GET', '', undefined], ['PATCH', '', { enabled: false }], ['DELETE', '', undefined], ['POST', '/secret', {}], ['GET', '/deliveries', undefined]] as const) {
    t.match(await call(method, `/webhooks/${body.id}${path}`, { token: bob.token, body: sent }), { status: 404, body: { code: 'not_found' } }, `${method} ${path}`)
  }
  t.match((await call('PATCH', `/webhooks/${body.id}`, { token: ann.token, body: { url: 'https://example.com/other', events: ['message'] } })).body, { url: 'https://example.com/other', events: ['message'], enabled: true })
  t.match(await call('PATCH', `/webhooks/${body.id}`, { token: ann.token, body: { url: 'http://10.0.0.1/' } }), { status: 400 })
  t.not((await post(`/webhooks/${body.id}/secret`, {}, ann.token)).body.secret, body.secret)
  t.equal((await get('/webhooks', ann.token)).body.items.length, 2)
  t.equal((await post(`/webhooks/${body.id}/deliveries/${body.id}/retry`, {}, ann.token)).status, 404)
  for (let i = 2; i < 10; i++) t.equal((await make({ url: `https://example.com/${i}` })).status, 201)
  t.match(await make({ url: 'https://example.com/11' }), { status: 422, body: { code: 'too_many' } })
  t.equal((await call('DELETE', `/webhooks/${body.id}`, { token: ann.token })).status, 204)
})

t.test('deliveries come in pages, newest first', async t => {
  const { id } = (await post('/webhooks', { url: 'https://example.com/hook' }, bob.token)).body
  await store.query(`
    INSERT INTO notifications (id, user_id, room_id, webhook_id, kind, from_seq, to_seq, state)
    SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, $1, $2, $2, 'message', n, n, CASE WHEN n % 2 = 0 THEN 'dead' ELSE 'sent' END
      FROM generate_series(1, 25) AS n`, [bob.id, id])
  const seqs: number[] = []
  for (let before = ''; ;) {
    const { items, next } = (await get(`/webhooks/${id}/deliveries?limit=10${before}`, bob.token)).body
    seqs.push(...items.map(({ to_seq }: { to_seq: number }) => to_seq))
    if (next === null) break
    before = `&before=${next}`
  }
  t.same(seqs, Array.from({ length: 25 }, (_, i) => 25 - i))
  t.equal((await get(`/webhooks/${id}/deliveries?state=dead`, bob.token)).body.items.length, 12)
})

t.test('when not to be disturbed is said, changed in part, and taken back', async t => {
  const change = async (body: object) => await call('PATCH', '/me/notifications', { token: ann.token, body })
  t.same((await get('/me/notifications', ann.token)).body, { dnd_until: null, dnd_hours: null, time_zone: 'UTC' })
  t.same((await change({ dnd_hours: { from: '22:00', to: '07:30' }, time_zone: 'Europe/Vienna' })).body, { dnd_until: null, dnd_hours: { from: '22:00', to: '07:30' }, time_zone: 'Europe/Vienna' })
  t.match((await change({ dnd_until: '2030-01-01T00:00:00+01:00' })).body, { dnd_until: '2029-12-31T23:00:00.000Z', dnd_hours: { from: '22:00' }, time_zone: 'Europe/Vienna' })
  t.same((await change({ dnd_until: null, dnd_hours: null })).body, { dnd_until: null, dnd_hours: null, time_zone: 'Europe/Vienna' })
  for (const wrong of [{}, { time_zone: 'Mars/Olympus' }, { dnd_hours: { from: '25:00', to: '07:00' } }, { dnd_until: 'tomorrow' }, { dnd_until: '2030-13-45T00:00:00Z' }]) t.equal((await change(wrong)).status, 400, JSON.stringify(wrong))
})

t.test('a subscription ends with its session, however that ends', async t => {
  const first = (await post('/auth/signup', { username: 'cat', password: 'correct horse battery' })).body
  const login = async () => (await post('/auth/login', { username: 'cat', password: 'correct horse battery' })).body
  const [second, third] = [await login(), await login()]
  for (const [i, { access_token }] of [first, second, third].entries()) await put(browser(`https://push.example/cat/${i}`).subscription, access_token)
  const left = async () => (await get('/me/push-subscriptions', first.access_token)).body.items.map(({ endpoint }: { endpoint: string }) => Number(endpoint.at(-1))).sort()
  t.same(await left(), [0, 1, 2])
  await post('/auth/logout', {}, second.access_token)
  t.same(await left(), [0, 2])
  await call('POST', '/auth/password', { token: first.access_token, body: { current_password: 'correct horse battery', new_password: 'another horse battery' } })
  t.same(await left(), [0])
})
