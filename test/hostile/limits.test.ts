// Limits as they are in production: what one client, one user or one crowd may do, and the code that says so.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { connect, UpgradeRefused, type Client } from '../client.ts'
import { millrace } from '../e2e/world.ts'
import { until } from '../until.ts'
import { attacks, bystander, metric, untilConnections, upgrade } from './attack.ts'

const PER_USER = 6
const UPGRADES = 40
const FRAMES_PER_SECOND = 200

const world = await millrace(t, { gateways: 1, projectors: 0, env: { RATE_LIMITS: 'on', CONNECTIONS_PER_USER_MAX: String(PER_USER), UPGRADES_PER_SECOND: String(UPGRADES), BAD_FRAMES_MAX: '20', FRAMES_PER_SECOND: String(FRAMES_PER_SECOND) } })
const victim = await bystander(world)
const { access_token: token } = await world.signup()
const url = world.urlOf(0)
const attack = attacks(t, world, victim)

await attack('bad frames are borne up to the abuse limit, then bye and 4204', async t => {
  const client = await connect({ url, token })
  for (let i = 0; i < 20; i++) client.raw('{"type":"nonsense"}')
  t.match(await client.closed, { code: 4204 })
  t.equal(client.frames.filter(({ type, code }) => type === 'error' && code === 'bad_frame').length, 20)
  t.match(client.frames.at(-1), { type: 'bye', code: 4204, resume: false })
  const patient = await connect({ url, token })
  for (let i = 0; i < 19; i++) patient.raw('{')
  t.match(await patient.request({ type: 'ping' }), { type: 'pong' }, 'one less is borne')
  patient.cut()
})

await attack('one connection too many of one user is closed with 4203, those before it stay', async t => {
  const mine: Client[] = []
  for (let i = 0; i < PER_USER; i++) mine.push(await connect({ url, token, via: i % 2 === 0 ? 'hello' : 'header' }))
  for (const via of ['hello', 'header', 'query'] as const) {
    const client = await connect({ url, token, via, wait: 'open' })
    t.match(await client.closed, { code: 4203 }, via)
    t.match(client.frames, [{ type: 'bye', code: 4203, resume: false }], via)
  }
  for (const client of mine) t.match(await client.request({ type: 'ping' }), { type: 'pong' })
  await mine.pop()!.close()
  await until(async () => await metric(url, 'millrace_connections') <= PER_USER, { what: 'the place to be free' })
  mine.push(await connect({ url, token }))
  for (const client of mine) client.cut()
  await untilConnections(world, 1)
})

await attack('upgrades beyond the rate are answered 503 with retry-after, and after it there is room', async t => {
  await sleep(2000) // a full bucket
  const before = await metric(url, 'millrace_upgrades_total', 'result="too fast"')
  const results = await Promise.allSettled(Array.from({ length: UPGRADES * 15 }, async () => await connect({ url, wait: 'open' })))
  const refused = results.flatMap(result => result.status === 'rejected' ? [result.reason as UpgradeRefused] : [])
  t.ok(refused.length > UPGRADES, `${refused.length} were refused`)
  t.ok(results.length - refused.length >= UPGRADES, 'the burst was let in')
  for (const error of refused) if (!(error instanceof UpgradeRefused) || error.status !== 503 || JSON.parse(error.body).code !== 'overloaded') t.fail(String(error))
  const { head, closed } = await upgrade(url)
  if (!head.includes(' 101 ')) {
    t.match(head, /^HTTP\/1\.1 503 [^]*retry-after: \d/i)
    await closed
  }
  t.ok(await metric(url, 'millrace_upgrades_total', 'result="too fast"') - before >= refused.length)
  for (const result of results) if (result.status === 'fulfilled') result.value.cut()
  await sleep(1500)
  const client = await connect({ url, token })
  client.cut()
  await untilConnections(world, 1)
})

await attack('a subprotocol that is not ours is closed with 4201, whatever else is offered', async t => {
  for (const offered of ['millrace.v2', 'graphql-ws', 'millrace.v0, chat', 'MILLRACE.V1']) {
    const { head, texts, closed } = await upgrade(url, { token, headers: { 'Sec-WebSocket-Protocol': offered } })
    t.match(head, new RegExp(`^HTTP/1.1 101 [^]*sec-websocket-protocol: ${offered.split(',')[0]}`, 'i'), 'taken, so that clients wait for the code')
    t.equal(await closed, 4201, offered)
    t.match(JSON.parse(texts().at(-1)!), { type: 'bye', code: 4201, resume: false })
  }
  for (const offered of ['millrace.v1', 'chat, millrace.v1', undefined]) {
    const { head, texts, cut } = await upgrade(url, { token, headers: offered === undefined ? {} : { 'Sec-WebSocket-Protocol': offered } })
    t.match(head, offered === undefined ? /^HTTP\/1.1 101 / : /sec-websocket-protocol: millrace\.v1/i)
    await until(() => texts().some(text => text.includes('"welcome"')))
    cut()
  }
})

await attack('frames beyond the rate are answered rate_limited with their ref and a time, and after it they are served', async t => {
  const client = await connect({ url, token })
  const answers = await Promise.all(Array.from({ length: FRAMES_PER_SECOND * 15 }, async () => await client.request({ type: 'ping' }, 30_000)))
  const limited = answers.filter(({ type }) => type === 'error')
  t.ok(limited.length > 0 && limited.length < answers.length, `${limited.length} of ${answers.length} were refused`)
  for (const { code, retry_after_ms: wait } of limited) if (code !== 'rate_limited' || !(wait > 0)) t.fail(`${code} ${wait}`)
  await sleep(1500)
  t.match(await client.request({ type: 'ping' }), { type: 'pong' })
  client.cut()
})

await attack('nothing secret was written, and nothing was an error', async t => {
  const output = world.gateways[0]!.output()
  for (const secret of [token, victim.token, 'correct horse battery']) t.notOk(output.includes(secret))
  t.notMatch(output, /"level":"(?:error|fatal)"/)
})
