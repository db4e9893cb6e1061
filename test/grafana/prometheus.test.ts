// A real Prometheus looks at a running Millrace under load: every panel shows something, every rule has something to judge, every
// metric is there. Then three real faults, and the alerts that must tell of them. Needs Prometheus of the system.
import t, { type Test } from 'tap'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../src/dev/ports.ts'
import { chainOf } from '../../src/log/chain.ts'
import { createKeys } from '../../src/log/keys.ts'
import type { Account } from '../client.ts'
import { millrace, startRole } from '../e2e/world.ts'
import { until } from '../until.ts'
import { DASHBOARDS, dashboardOf, METRICS, namesIn, panelsOf, RULES, withoutPrometheus } from './files.ts'
import { replaced, startPrometheus } from './prometheus-server.ts'

const LOAD_MS = 6000
/** Samples of what is there only while it happens: nobody can wait for the scrape that sees one. */
const PASSING = new Set(['millrace_nodejs_active_requests'])
/** Prometheus and Millrace look at things every 5 s, and leases run out. */
const ALERT_MS = 40_000

async function open (t: Test) {
  const world = await millrace(t, { projectors: 0, redisArgs: ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory', '512mb'], env: { RATE_LIMITS: 'on', LOGIN_FAILURES_BURST: '3' } })
  const ports = [await freePort(), await freePort()]
  const [projector] = await Promise.all(['projector', 'jobs'].map(async (role, i) => await startRole(t, [role], { ...world.env, OPS_PORT: String(ports[i]) })))
  const targets = [...world.gateways.map(({ url }) => new URL(url).host), ...ports.map(port => `127.0.0.1:${port}`)]
  return { ...world, projector: projector!, targets }
}

/** People who do everything that is counted. */
async function load (world: Awaited<ReturnType<typeof open>>, ada: Account, room: string): Promise<void> {
  const bob = await world.signup()
  const api = world.api(1)
  await api.post(`/rooms/${room}/join`, {}, bob.access_token)
  const adas = await world.connect(0, ada.access_token, { device_id: 'phone' })
  const bobs = await world.connect(1, bob.access_token)
  await Promise.all([adas.subscribe(room), bobs.subscribe(room)])
  bobs.raw('no frame')
  for (let i = 0; i < 6; i++) await api.post('/auth/login', { username: ada.user.username, password: `a guess ${i}` })
  await api.get('/me', 'no token')
  await world.connect(0, 'no token').catch(() => {})
  for (const until = Date.now() + LOAD_MS; Date.now() < until; await sleep(100)) {
    const { seq } = await bobs.message(room, `a line of ${new Date().toISOString()}`)
    adas.send({ type: 'typing', room_id: room, active: true })
    adas.send({ type: 'read', room_id: room, seq })
    bobs.send({ type: 'presence', status: seq % 2 === 0 ? 'away' : 'online' })
    await adas.message(room, 'yes')
    await api.get(`/rooms/${room}/messages`, ada.access_token)
    await api.get(`/rooms/${room}/search?q=line`, ada.access_token)
    const back = await world.connect(1, ada.access_token, { resume: { rooms: { [room]: { seq: 0 } } } })
    await back.next(({ type }) => type === 'live')
    await back.close()
  }
  await Promise.all([adas.close(), bobs.close()])
  await world.projected()
}

/** An entry that is no event, as no gateway would write it: every projection must set the room aside there. */
async function poison ({ redis, log }: Awaited<ReturnType<typeof open>>, room: string): Promise<void> {
  const keys = createKeys(16)
  const { seq, chain } = (await log.heads([room])).heads.get(room)!
  const id = randomUUID()
  const next = { seq: seq + 1, chain: chainOf(chain, id) }
  await redis.xadd(keys.log(room), `${next.seq}-0`, 'id', id, 'chain', next.chain, 'v', 1, 'data', 'no event')
  await redis.hset(keys.meta(room), next)
}

t.test('what Prometheus sees of a Millrace under load, and of one that is broken', { skip: withoutPrometheus() }, async t => {
  const world = await open(t)
  const prometheus = await startPrometheus(t, world.targets)
  const ada = await world.signup()
  const room = await world.room(ada.access_token)
  const doomed = (await world.api(0).post('/rooms', { name: 'doomed', kind: 'public' }, ada.access_token)).body.id as string
  const firing = async (name: string) => (await prometheus.firing()).find(alert => alert.name === name)
  const fires = async (name: string) => (await until(async () => await firing(name), { timeoutMs: ALERT_MS, everyMs: 250, what: `${name} to fire` }))!
  const isQuiet = async (name: string): Promise<void> => { await until(async () => await firing(name) === undefined, { timeoutMs: ALERT_MS, everyMs: 250, what: `${name} to be quiet` }) }

  await t.test('every panel shows something', async t => {
    await load(world, ada, room)
    await sleep(1500) // one more scrape, and one more evaluation of the rules
    for (const file of DASHBOARDS) {
      const dashboard = dashboardOf(file)
      const variables = await prometheus.variablesOf(dashboard)
      t.same(variables.get('role'), ['gateway', 'jobs', 'projector'])
      t.same(variables.get('instance'), [...world.targets].sort())
      for (const { title, targets = [] } of panelsOf(dashboard)) {
        for (const { expr, instant } of targets) t.ok(await prometheus.shows(replaced(expr, variables), { instant }), `${dashboard.title}, ${title}: ${expr}`)
      }
      for (const { expr } of dashboard.annotations.list) await prometheus.shows(replaced(expr, variables), { instant: false }) // is one that Prometheus takes
    }
  })

  await t.test('every metric has samples', async t => {
    const known = await prometheus.ask('metadata')
    for (const [name, type] of METRICS) {
      t.match(known[name], [{ type }], name)
      if (!PASSING.has(name)) t.ok(await prometheus.seen(type === 'histogram' ? `${name}_count` : name) > 0, name)
    }
  })

  await t.test('nothing that is well is said to be down', async t => {
    const names = (await prometheus.firing()).map(({ name }) => name)
    t.comment(`firing: ${names.join(', ') || 'nothing'}`)
    for (const name of ['MillraceNoGateway', 'MillraceProcessDown', 'MillraceNotReady', 'MillraceRedisDown', 'MillracePostgresDown', 'MillraceProjectorDead', 'MillraceRoomParked', 'MillracePartitionsFenced', 'MillraceEventsLost', 'MillraceHistoriesParted', 'MillraceAofFailing', 'MillraceAofOff', 'MillraceTrimStopped', 'MillraceAppendErrors']) t.notOk(names.includes(name), name)
  })

  await t.test('a room that cannot be projected is told of', async t => {
    await poison(world, doomed)
    const { labels, annotations } = await fires('MillraceRoomParked')
    t.match(labels, { severity: 'warning', projection: /^\w+_v\d+$/ })
    t.match(annotations, { summary: /^1 rooms are parked in \w+$/, runbook_url: /\/MillraceRoomParked\.md$/ })
  })

  await t.test('a dead projector is told of, by those that live', async t => {
    await world.projector.kill()
    t.match(await fires('MillraceProjectorDead'), { labels: { severity: 'critical', projection: /^\w+_v\d+$/ }, annotations: { summary: /^Nobody works on \w+$/ } })
    t.match(await fires('MillraceProcessDown'), { labels: { instance: world.targets[2] } })
    await world.projector.restart()
  })

  await t.test('a dead Redis is told of; what is mended is quiet', async t => {
    await world.redisServer.kill()
    t.match(await fires('MillraceRedisDown'), { labels: { severity: 'critical' }, annotations: { summary: 'Redis is down' } })
    await fires('MillraceNoGateway')
    t.equal((await world.api(0).get(`/rooms/${room}/messages`, ada.access_token)).status, 503)
    await sleep(1500) // that is scraped
    await world.redisServer.restart()
    for (const name of ['MillraceRedisDown', 'MillraceNoGateway', 'MillraceProjectorDead', 'MillraceProcessDown']) await isQuiet(name)
  })

  await t.test('every rule was judged without an error, on series that there are', async t => {
    const { groups } = await prometheus.ask('rules')
    const judged = groups.flatMap(({ rules }: { rules: Array<{ name: string, health: string, lastError?: string, alerts?: Array<{ annotations: object }> }> }) => rules)
    t.equal(judged.length, RULES.length)
    for (const { name, health, lastError, alerts = [] } of judged) {
      t.equal(health, 'ok', `${name}: ${lastError}`)
      t.notMatch(JSON.stringify(alerts), '<error', `${name} says what it means to`)
    }
    for (const { expr } of RULES) {
      for (const [selector] of expr.matchAll(/\b(?:millrace[_:][\w:]+|up)\b(?:\{[^}]*\})?/g)) t.ok(await prometheus.seen(selector) > 0, selector)
      t.ok(namesIn(expr).length > 0 || /^vector\(/.test(expr) || expr.includes('up{'), expr)
    }
  })
})
