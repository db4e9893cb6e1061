// Webhooks from end to end: signed, tried again, given up visibly, made again by hand, switched off.
import t from 'tap'
import { readFileSync } from 'node:fs'
import { Webhook } from 'standardwebhooks'
import { setDisabled } from '../../src/store/operators.ts'
import { until } from '../until.ts'
import { jobsWorld, receiver, type Received } from './stand.ts'

const world = await jobsWorld(t)
const { http, person, store } = world
const server = await receiver(t, () => ({ status: 204 }))
const jobs = await world.jobs()

const at = (path: string) => server.received.filter(received => received.path === path)
/** Its body, if it is signed with this secret. */
const verified = (secret: string, { headers, body }: Received) => new Webhook(secret).verify(body.toString(), headers as Record<string, string>) as Record<string, any>
const deliveries = async (who: { token: string }, id: string, query = '') => (await http.get(`/webhooks/${id}/deliveries${query}`, who.token)).body
const room = async (owner: { token: string }, ...members: Array<{ join: (room: string) => Promise<unknown> }>): Promise<string> => {
  const id = await world.room(owner.token)
  for (const member of members) await member.join(id)
  return id
}

t.test('a server is told once of all that came, by a request that it can verify', async t => {
  const [ann, bob] = [await person('ann'), await person('bob')]
  const { id, secret } = await bob.webhook({ url: `${server.url}/all` })
  t.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
  const kitchen = await room(ann, bob)
  const from_seq = await ann.say(kitchen, 'one')
  const to_seq = await ann.say(kitchen, 'two, @bob')
  await until(() => at('/all').length > 0)
  const [received] = at('/all')
  const body = verified(secret, received!)
  t.match(body, { type: 'mention', data: { user_id: bob.id, room_id: kitchen, count: 2, mentions: 1, from_seq, to_seq, message: { seq: to_seq, username: 'ann', content: 'two, @bob' } } })
  t.throws(() => verified('whsec_AAAA', received!))
  // As the page says that it is verified without a library.
  const [, code] = /```js\n(import \{ createHmac[^]*?)```/.exec(readFileSync(new URL('../../docs/NOTIFICATIONS.md', import.meta.url), 'utf8'))!
  const { verify } = await import(`data:text/javascript,${encodeURIComponent(code!)}`)
  t.same(verify(secret, received!.headers, received!.body.toString()), body)
  t.throws(() => verify(secret, { ...received!.headers, 'webhook-id': 'another' }, received!.body.toString()))
  t.match(received!.headers, { 'content-type': 'application/json', 'user-agent': 'Millrace' })
  const { items: [delivery] } = await until(async () => { const page = await deliveries(bob, id); return page.items[0].state === 'sent' && page })
  t.match(delivery, { id: received!.headers['webhook-id'], type: 'mention', state: 'sent', status: 204, attempts: 1, reason: null })
  t.match((await http.get(`/webhooks/${id}`, bob.token)).body, { enabled: true, failing_since: null, last_delivery: { ok: true, status: 204, error: null } })
  t.notOk(JSON.stringify((await http.get('/webhooks', bob.token)).body).includes('whsec_'), 'the secret is shown once')
})

t.test('each gets what it asked for: of one room, or only what names its owner', async t => {
  const [ann, bob] = [await person(), await person('named')]
  const [one, other] = [await room(ann, bob), await room(ann, bob)]
  await bob.webhook({ url: `${server.url}/one`, room_id: one, events: ['message'] })
  await bob.webhook({ url: `${server.url}/mentions`, events: ['mention'] })
  const { id } = await bob.webhook({ url: `${server.url}/off` })
  t.match((await http.call('PATCH', `/webhooks/${id}`, { token: bob.token, body: { enabled: false } })).body, { enabled: false, disabled_for: 'owner' })
  await ann.say(one, 'hello')
  await ann.say(other, 'hello @named')
  await until(() => at('/one').length > 0 && at('/mentions').length > 0)
  t.same([at('/one').length, at('/mentions').length, at('/off').length], [1, 1, 0])
  t.match([at('/one')[0], at('/mentions')[0]].map(received => JSON.parse(received!.body.toString())), [{ type: 'message', data: { room_id: one } }, { type: 'mention', data: { room_id: other } }])
})

t.test('after a change of the secret both sign, and for a day only', async t => {
  const [ann, bob] = [await person(), await person()]
  const { id, secret: old } = await bob.webhook({ url: `${server.url}/rotated` })
  const { secret } = (await http.post(`/webhooks/${id}/secret`, {}, bob.token)).body
  const kitchen = await room(ann, bob)
  await ann.say(kitchen, 'hello')
  await until(() => at('/rotated').length > 0)
  for (const one of [old, secret]) t.ok(verified(one, at('/rotated')[0]!))
  await store.query("UPDATE webhooks SET rotated_at = rotated_at - interval '25 hours' WHERE id = $1", [id])
  await ann.say(kitchen, 'hello again')
  await until(() => at('/rotated').length > 1)
  t.ok(verified(secret, at('/rotated')[1]!))
  t.throws(() => verified(old, at('/rotated')[1]!))
})

t.test('what fails is tried again under the same ID, given up visibly, and made again by hand', async t => {
  const [ann, bob, eve] = [await person(), await person(), await person()]
  const broken = await receiver(t, () => ({ status: 500, body: 'out of "order"' }))
  const { id, secret } = await bob.webhook({ url: broken.url })
  const kitchen = await room(ann, bob)
  await ann.say(kitchen, 'hello')
  const { items: [dead] } = await until(async () => { const page = await deliveries(bob, id, '?state=dead'); return page.items.length > 0 && page }, { timeoutMs: 40_000, what: 'it to be given up' })
  t.match(dead, { state: 'dead', status: 500, attempts: 3, reason: 'it answered 500 out of "order"' })
  t.same(new Set(broken.received.map(({ headers }) => headers['webhook-id'])), new Set([dead.id]))
  t.match((await http.get(`/webhooks/${id}`, bob.token)).body, { enabled: true, failing_since: /^\d/, last_delivery: { ok: false, status: 500 } })

  broken.answer(() => ({ status: 200 }))
  t.equal((await http.post(`/webhooks/${id}/deliveries/${dead.id}/retry`, {}, eve.token)).status, 404, 'not by others')
  t.match(await http.post(`/webhooks/${id}/deliveries/${dead.id}/retry`, {}, bob.token), { status: 202, body: { id: dead.id, state: 'again' } })
  await until(async () => (await deliveries(bob, id)).items[0].state === 'sent')
  t.equal(broken.received.at(-1)!.headers['webhook-id'], dead.id)
  t.ok(verified(secret, broken.received.at(-1)!))
  t.match((await http.get(`/webhooks/${id}`, bob.token)).body, { failing_since: null })
  t.equal((await deliveries(bob, id)).items.length, 1)
  t.match((await jobs.shared.metrics.notifications.get()).values.filter(({ labels }) => labels.via === 'webhook').map(({ labels }) => labels.outcome).sort(), ['dead', 'failed', 'sent'])
})

t.test('a server that says that it is gone, or fails for days, is told no more until its owner says so', async t => {
  const [ann, bob] = [await person(), await person()]
  const closed = await receiver(t, ({ path }) => ({ status: path === '/gone' ? 410 : 500 }))
  const gone = await bob.webhook({ url: `${closed.url}/gone` })
  const failing = await bob.webhook({ url: `${closed.url}/failing` })
  await store.query("UPDATE webhooks SET failing_since = now() - interval '6 days' WHERE id = $1", [failing.id])
  const kitchen = await room(ann, bob)
  await ann.say(kitchen, 'hello')
  const shown = async (id: string) => (await http.get(`/webhooks/${id}`, bob.token)).body
  await until(async () => !(await shown(gone.id)).enabled && !(await shown(failing.id)).enabled)
  t.same([(await shown(gone.id)).disabled_for, (await shown(failing.id)).disabled_for], ['gone', 'failing'])
  t.match(await until(async () => { const [one] = (await deliveries(bob, gone.id)).items; return one.state === 'dead' && one }), { status: 410, attempts: 1 })
  await until(async () => (await deliveries(bob, failing.id)).items[0].state === 'dead')
  t.equal(closed.received.length, 2, 'what was under way is not tried again either')
  t.match((await http.call('PATCH', `/webhooks/${failing.id}`, { token: bob.token, body: { enabled: true } })).body, { enabled: true, disabled_for: null, failing_since: null })
})

t.test('an account that is shut is told nothing more at its servers, not even what was queued; opened again, it is', async t => {
  const [ann, bob] = [await person(), await person()]
  const { id } = await bob.webhook({ url: `${server.url}/shut` })
  const kitchen = await room(ann, bob)
  const shut = async (at: Date | null): Promise<boolean> => await setDisabled(store, bob.id, at)
  const flaky = await receiver(t, () => ({ status: 500 }))
  const { id: other } = await bob.webhook({ url: flaky.url })
  await ann.say(kitchen, 'before')
  await until(() => at('/shut').length === 1 && flaky.received.length > 0)
  await shut(new Date())
  flaky.answer(() => ({ status: 204 }))
  const queued = async () => (await store.query("SELECT state, reason FROM notifications WHERE webhook_id = $1 AND state <> 'waiting'", [other])).rows
  await until(async () => (await queued()).length === 1)
  t.match(await queued(), [{ state: 'suppressed', reason: 'gone' }])
  await ann.say(kitchen, 'not for who is shut out')
  await world.projected()
  await until(async () => await world.waiting() === 0)
  t.equal((await store.query('SELECT FROM notifications WHERE webhook_id = $1', [id])).rowCount, 1)
  await shut(null)
  await ann.say(kitchen, 'welcome back')
  await until(() => at('/shut').length === 2)
  t.match(JSON.parse(at('/shut')[1]!.body.toString()), { data: { message: { content: 'welcome back' } } })
})

t.test('what they want is asked again when it is sent: who wants to hear of mentions only, since it was queued, hears of nothing else', async t => {
  const [ann, bob, cat] = [await person(), await person(), await person('catherine')]
  const flaky = await receiver(t, () => ({ status: 500 }))
  for (const one of [bob, cat]) await one.webhook({ url: `${flaky.url}/${one.id}` })
  const kitchen = await room(ann, bob, cat)
  await ann.say(kitchen, 'for @catherine')
  await ann.say(kitchen, 'for all')
  await until(() => [bob, cat].every(({ id }) => flaky.received.some(({ path }) => path === `/${id}`)))
  for (const { token } of [bob, cat]) t.match((await http.call('PUT', `/rooms/${kitchen}/notifications`, { token, body: { level: 'mentions' } })).status, /^20/)
  const before = flaky.received.length
  flaky.answer(() => ({ status: 204 }))
  const states = async () => (await store.query('SELECT user_id, state, reason FROM notifications WHERE room_id = $1', [kitchen])).rows
  await until(async () => (await states()).every(({ state }) => state !== 'waiting'))
  t.strictSame(new Set(await states()), new Set([{ user_id: bob.id, state: 'suppressed', reason: 'muted' }, { user_id: cat.id, state: 'sent', reason: null }]))
  t.same(flaky.received.slice(before).map(({ path, body }) => [path, JSON.parse(body.toString()).data.message.content]), [[`/${cat.id}`, 'for @catherine']])
})

t.test('no redirect is followed, and of an endless answer only the beginning is read', async t => {
  const [ann, bob] = [await person(), await person()]
  const evil = await receiver(t, ({ path }) => path === '/there' ? { status: 302, headers: { location: `${server.url}/redirected` } } : { status: 400, body: 'x'.repeat(3_000_000) })
  const hooks = [await bob.webhook({ url: `${evil.url}/there` }), await bob.webhook({ url: `${evil.url}/flood` })]
  const kitchen = await room(ann, bob)
  await ann.say(kitchen, 'hello')
  const reasons = await until(async () => {
    const pages = await Promise.all(hooks.map(async ({ id }) => await deliveries(bob, id)))
    return pages.every(({ items }) => items[0]?.reason != null) && pages.map(({ items }) => items[0].reason as string)
  }) as string[]
  t.equal(reasons[0], 'it answered 302')
  t.match(reasons[1], /^it answered 400 x{200}$/)
  t.equal(at('/redirected').length, 0)
})
