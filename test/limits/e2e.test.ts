// Limits as people meet them: two gateways as processes of their own, by socket and by HTTP, with limits low enough to reach.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { connect, UpgradeRefused, type Frame } from '../client.ts'
import { millrace } from '../e2e/world.ts'
import { metric } from '../hostile/attack.ts'
import { until } from '../until.ts'

const PASSWORD = 'correct horse battery'
const world = await millrace(t, {
  projectors: 0,
  env: {
    RATE_LIMITS: 'on',
    TRUST_PROXY: '1',
    SENDS_PER_SECOND: '5',
    SENDS_BURST: '20',
    ROOM_SENDS_PER_SECOND: '5',
    ROOM_SENDS_BURST: '50',
    REQUESTS_PER_SECOND: '10',
    REQUESTS_BURST: '30',
    ADDRESS_UPGRADES_PER_SECOND: '5',
    ADDRESS_UPGRADES_BURST: '30',
    LOGIN_FAILURES_PER_MINUTE: '30',
    LOGIN_FAILURES_BURST: '4',
  },
})

/** A new user with a socket on each gateway. */
async function person (name = `u${randomUUID().slice(0, 8)}`) {
  const { access_token: token } = await world.signup(name)
  const sockets = [await world.connect(0, token), await world.connect(1, token)] as const
  return { name, token, sockets }
}

type Person = Awaited<ReturnType<typeof person>>

/** Messages over all four ways at once; the codes of those refused, and how many were taken. */
async function flood ({ token, sockets }: Person, room_id: string, times: number) {
  const byFrame = async (i: number): Promise<Frame> => await sockets[i % 2]!.request({ type: 'message', room_id, content: String(i) })
  const byHttp = async (i: number): Promise<Frame> => {
    const { status, body, headers } = await world.api(i % 2).post(`/rooms/${room_id}/messages`, { content: String(i) }, token)
    if (status === 429 && Number(headers.get('retry-after')) !== Math.ceil(body.retry_after_ms / 1000)) throw new Error('no honest Retry-After')
    return status === 201 ? { type: 'ack' } : { ...body, type: 'error' }
  }
  const answers = await Promise.all(Array.from({ length: times }, async (_, i) => await (i % 4 === 0 ? byHttp : byFrame)(i)))
  const refused = answers.filter(({ type }) => type === 'error')
  return { taken: answers.length - refused.length, codes: [...new Set(refused.map(({ code }) => code))], waitMs: Math.max(...refused.map(({ retry_after_ms }) => retry_after_ms)), refused }
}

const messages = async (room: string): Promise<number> => (await world.logOf(room)).filter(({ data }) => data.includes('"message"')).length

t.test('what a user sends, by frame or HTTP, to whichever gateway, counts together; what is refused is not in the log', async t => {
  const ann = await person()
  const room = await world.room(ann.token)
  const began = performance.now()
  const { taken, codes, waitMs, refused } = await flood(ann, room, 80)
  const most = 20 + 5 * (performance.now() - began) / 1000
  t.ok(taken >= 18 && taken <= most + 1, `${taken} were taken`) // a token may lie in the purse of the other gateway
  t.same(codes, ['rate_limited'])
  t.ok(refused.every(({ retry_after_ms: ms }) => ms > 0 && ms <= 1000))
  t.equal(await messages(room), taken)
  await sleep(waitMs + 5)
  t.match(await ann.sockets[0].request({ type: 'message', room_id: room, content: 'after the wait' }), { type: 'ack' })
  t.ok(await metric(world.urlOf(0), 'millrace_rate_limited_total', 'limit="sends"') + await metric(world.urlOf(1), 'millrace_rate_limited_total', 'limit="sends"') >= refused.length)
})

t.test('a flood of one user takes nothing from another, nor from the sender’s own order', async t => {
  const [loud, calm] = [await person(), await person()]
  const room = await world.room(loud.token)
  await world.api(0).post(`/rooms/${room}/join`, {}, calm.token)
  const flooding = flood(loud, room, 200)
  const acks = await Promise.all(Array.from({ length: 15 }, async (_, i) => await calm.sockets[0].request({ type: 'message', room_id: room, content: `calm ${i}` })))
  t.ok(acks.every(({ type }) => type === 'ack'))
  t.same(acks.map(({ seq }) => seq), acks.map(({ seq }) => seq).sort((a, b) => a - b), 'in the order sent')
  await flooding
})

t.test('a room takes so many from all its users, over both gateways', async t => {
  const people = await Promise.all(Array.from({ length: 5 }, async () => await person()))
  const room = await world.room(people[0]!.token)
  for (const { token } of people) await world.api(0).post(`/rooms/${room}/join`, {}, token)
  const began = performance.now()
  const all = await Promise.all(people.map(async person => await flood(person, room, 18)))
  const taken = all.reduce((sum, { taken }) => sum + taken, 0)
  t.ok(taken >= 45 && taken <= 50 + 5 * (performance.now() - began) / 1000 + 1, `${taken} of 90 were taken`)
  t.equal(await messages(room), taken)
})

t.test('wrong passwords count against the name, on all gateways; right ones do not', async t => {
  const { name } = await person()
  const logIn = async (gateway: number, password: string) => await world.api(gateway).post('/auth/login', { username: name, password })
  for (let i = 0; i < 8; i++) t.equal((await logIn(i, PASSWORD)).status, 200)
  for (let i = 0; i < 4; i++) t.match(await logIn(i, 'a wrong password'), { status: 401, body: { code: 'bad_credentials' } })
  const { status, body } = await logIn(1, PASSWORD)
  t.match({ status, body }, { status: 429, body: { code: 'rate_limited' } }, 'nor would the right one help now')
  t.equal((await world.api(0).post('/auth/login', { username: 'somebody else', password: 'x' })).status, 401)
  await sleep(body.retry_after_ms)
  t.equal((await logIn(0, PASSWORD)).status, 200, 'after the wait it does')
})

t.test('upgrades count against the address that the load balancer names', async t => {
  const upgrade = async (gateway: number, ip: string): Promise<number> => {
    const answer = await fetch(new URL('/ws', world.urlOf(gateway)), { headers: { 'x-forwarded-for': ip } }) // 426 if it is let in: fetch asks for no upgrade
    return answer.status
  }
  const statuses = await Promise.all(Array.from({ length: 60 }, async (_, i) => await upgrade(i, '203.0.113.50')))
  t.ok(statuses.filter(status => status === 426).length >= 30)
  t.ok(statuses.filter(status => status === 429).length >= 20)
  t.equal(await upgrade(0, '203.0.113.51'), 426)
  const { access_token: token } = await world.signup()
  const results = await Promise.allSettled(Array.from({ length: 60 }, async (_, i) => await connect({ url: world.urlOf(i), token })))
  const refused = results.flatMap(result => result.status === 'rejected' ? [result.reason as UpgradeRefused] : [])
  for (const result of results) if (result.status === 'fulfilled') result.value.cut()
  t.ok(refused.length > 10 && refused.every(error => error instanceof UpgradeRefused && error.status === 429 && JSON.parse(error.body).code === 'rate_limited'))
  await sleep(1000 * Math.ceil(JSON.parse(refused[0]!.body).retry_after_ms / 1000))
  ;(await connect({ url: world.urlOf(0), token })).cut()
})

t.test('with Redis killed requests are still limited, and after it all is as before', async t => {
  await sleep(2000) // for upgrades
  const ann = await person()
  const room = await world.room(ann.token)
  await world.redisServer.kill()
  const statuses = await Promise.all(Array.from({ length: 120 }, async (_, i) => (await world.api(i % 2).get('/me', ann.token)).status))
  t.ok(statuses.filter(status => status === 429).length >= 30, 'a burst for each gateway, no more')
  await world.redisServer.restart()
  await until(async () => (await ann.sockets[0].request({ type: 'message', room_id: room, content: 'back' })).type === 'ack', { everyMs: 500 })
  await sleep(2500)
  const { taken, codes } = await flood(ann, room, 80)
  t.ok(taken >= 8 && taken <= 27, `${taken} were taken`)
  t.same(codes, ['rate_limited'])
  for (const { output } of world.gateways) {
    t.match(output(), /Redis is away: until it is back, limits hold for each gateway by itself/)
    t.notMatch(output(), /"level":"(?:error|fatal)"/)
  }
})
