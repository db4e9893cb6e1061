// What docker-compose.yml describes runs, and does what it is for: clients anywhere behind the load balancer hear each other, and
// killing, stopping or starting again any of its parts loses nothing. Needs HAProxy and Prometheus of the system.
import t from 'tap'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createKeys } from '../../src/log/keys.ts'
import { createRedisLog } from '../../src/log/redis-log.ts'
import { connectRedis } from '../../src/log/redis.ts'
import { openStore } from '../../src/store/pool.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { http } from '../client.ts'
import { startPerson } from '../e2e/person.ts'
import { createScene } from '../e2e/world.ts'
import { until } from '../until.ts'
import { ROOT } from './image.ts'
import { composeUp, madeSecrets, programOf, readCompose } from './compose.ts'

const PARTITIONS = 128
const logger = createLogger({ level: 'silent', role: 'test' })

const missing = ['haproxy', 'prometheus'].filter(name => programOf(name) === undefined)
const sorry = missing.length === 0 ? false : `not installed here: ${missing.join(', ')} (apt-get install ${missing.join(' ')})`
const mustRun = process.env.MILLRACE_SKIPS === 'fail'

t.test('nothing starts without secrets of its own, and none has a default', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-secrets-'))
  t.teardown(() => { rmSync(dir, { recursive: true }) })
  const secrets = madeSecrets(dir)
  t.same(Object.keys(secrets).sort(), ['GRAFANA_PASSWORD', 'JWT_PRIVATE_KEY', 'POSTGRES_PASSWORD', 'REDIS_PASSWORD'])
  for (const name of Object.keys(secrets)) t.throws(() => readCompose({ ...secrets, [name]: '' }), new RegExp(`required variable ${name} is missing`))
  t.same(madeSecrets(dir), secrets, 'run again it keeps them')
  writeFileSync(join(dir, '.env'), 'PORT=1\nREDIS_PASSWORD=mine')
  t.match(madeSecrets(dir), { PORT: '1', REDIS_PASSWORD: 'mine', JWT_PRIVATE_KEY: /^[\w+/=]{100,}$/ }, 'what is there stays')
})

t.test('every service comes back by itself, is looked at, bounded, and given time to end', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-secrets-'))
  t.teardown(() => { rmSync(dir, { recursive: true }) })
  const { services, volumes } = readCompose(madeSecrets(dir))
  const dockerfileChecks = (name: string): boolean => services[name]!.build !== undefined
  for (const [name, { profiles, restart, mem_limit, stop_grace_period, healthcheck, depends_on, volumes: mounts = [], ports = [] }] of Object.entries(services)) {
    if (profiles !== undefined) continue // for commands by hand
    t.equal(restart, name === 'migrate' ? 'on-failure' : 'unless-stopped', `${name} restarts`)
    t.match(mem_limit, /^\d+[mg]$/, `${name} has a memory limit`)
    t.match(stop_grace_period, /^\d+s$/, `${name} has time to end`)
    if (name !== 'migrate') t.ok(healthcheck?.test !== undefined || dockerfileChecks(name), `${name} has a health check`)
    for (const other of Object.keys(depends_on ?? {})) t.ok(other in services, `${name} depends on ${other}`)
    for (const mount of mounts) t.ok(mount.startsWith('./') ? mount.endsWith(':ro') : mount.split(':')[0]! in volumes, `${name} mounts ${mount}`)
    if (name !== 'balancer') t.ok(ports.every(port => port.startsWith('127.0.0.1:')), `${name} is not for the world`)
  }
})

t.test('the whole of it', { skip: mustRun ? false : sorry }, async t => {
  if (sorry !== false) return t.fail(sorry)
  const stack = await composeUp(t)
  const { containers, urlOf } = stack
  const url = urlOf('balancer', 8080)
  const logIn = http(url)
  const databaseUrl = await stack.translate(stack.services.jobs!.environment!.DATABASE_URL!)
  const store = await openStore({ url: databaseUrl, max: 4, name: 'test', log: logger })
  t.teardown(async () => { await store.close() })
  const redis = await connectRedis(await stack.translate(stack.services.jobs!.environment!.REDIS_URL!), 'test', logger)
  t.teardown(() => { redis.disconnect() })
  const world = createScene(t, { store, log: createRedisLog({ redis, keys: createKeys(PARTITIONS), log: logger }), urlOf: () => url })
  const connections = async (gateway: string): Promise<number> => Number(/^millrace_connections\{.*\} (\d+)$/m.exec(await (await fetch(`${urlOf(gateway, 8080)}/metrics`)).text())?.[1])

  await t.test('the demo runs through the load balancer', async t => {
    t.match(await stack.run('millrace', ['demo', url]), { code: 0, output: 'Nothing missing, nothing twice' })
  })

  await t.test('two clients on different gateways hear each other', async t => {
    const ada = await world.signup()
    const room = await world.room(ada.access_token)
    const [one, other] = [await world.connect(0, ada.access_token), await world.connect(0, ada.access_token)]
    t.same(await Promise.all([connections('gateway-1'), connections('gateway-2')]), [1, 1], 'one is on each')
    for (const client of [one, other]) await client.subscribe(room)
    await one.message(room, 'from here')
    await other.next(({ type, content }) => type === 'message' && content === 'from here')
    await other.message(room, 'from there')
    await one.next(({ type, content }) => type === 'message' && content === 'from there')
    await Promise.all([one.close(), other.close()])
  })

  await t.test('the load balancer says whose request it is, whatever a client claims, and shows no metrics', async t => {
    const { user, access_token } = await world.signup()
    t.ok(user)
    const spoofing = await logIn.call('POST', '/auth/login', { body: { username: user.username, password: 'correct horse battery' }, headers: { 'x-forwarded-for': '203.0.113.9' } })
    t.equal(spoofing.status, 200)
    const { items } = (await logIn.get('/auth/sessions', access_token)).body as { items: Array<{ address: string }> }
    t.same(items.map(({ address }) => address), ['127.0.0.1', '127.0.0.1'])
    for (const path of ['/metrics', '/metrics.json', '/%6detrics', '/readyz']) t.equal((await fetch(url + path)).status, 404, path)
  })

  await t.test('Prometheus sees every process', async t => {
    const targets = async (): Promise<Array<{ health: string, labels: { job: string }, lastError: string }>> => {
      const { data } = await (await fetch(`${urlOf('prometheus', 9090)}/api/v1/targets?state=active`)).json() as { data: { activeTargets: Array<{ health: string, labels: { job: string }, lastError: string }> } }
      return data.activeTargets
    }
    await until(async () => (await targets()).every(({ health }) => health === 'up'), { everyMs: 200, what: 'all targets to be up' })
    const jobs = (await targets()).map(({ labels }) => labels.job)
    t.same(jobs.sort(), ['balancer', 'millrace', 'millrace', 'millrace', 'millrace', 'prometheus'])
    const roles = await (await fetch(`${urlOf('prometheus', 9090)}/api/v1/query?query=count(millrace_redis_up)by(role)`)).json() as { data: { result: Array<{ metric: { role: string }, value: [number, string] }> } }
    t.same(Object.fromEntries(roles.data.result.map(({ metric, value }) => [metric.role, value[1]])), { gateway: '2', projector: '1', jobs: '1' })
  })

  await t.test('while people talk, one gateway is killed and all are restarted one after the other: nothing is lost [G3 G4]', async t => {
    const users = await Promise.all(Array.from({ length: 6 }, async () => await world.signup()))
    const rooms = await Promise.all([0, 1].map(async () => await world.room(users[0]!.access_token)))
    for (const user of users) for (const room of rooms) await logIn.post(`/rooms/${room}/join`, {}, user.access_token)
    const people = users.map(({ access_token }, i) => startPerson(world, { name: `person ${i}`, token: access_token, room: rooms[i % 2]!, messages: 120, pauseMs: 30 }))
    await until(async () => (await connections('gateway-1')) === 3 && (await connections('gateway-2')) === 3)

    await containers['gateway-1']!.kill()
    await until(async () => await connections('gateway-2') === 6, { what: 'everyone to be on the other gateway' })
    await containers['gateway-1']!.start()
    for (const name of ['gateway-2', 'gateway-1'] as const) {
      const other = name === 'gateway-1' ? 'gateway-2' : 'gateway-1'
      await sleep(1500) // the balancer has seen the one that came back
      t.equal(await containers[name]!.stop(), 0, `${name} ends with 0`)
      await until(async () => await connections(other) === 6, { what: `everyone to be on ${other}` })
      await containers[name]!.start()
    }
    await Promise.all(people.map(async person => { await person.spoken }))
    const heads = await Promise.all(rooms.map(async room => (await world.logOf(room)).length))
    await Promise.all(people.map(async (person, i) => { await person.heard(heads[i % 2]!) }))
    t.same((await world.judge()).problems, [])
    t.ok(people.every(({ reconnects }) => reconnects() > 0), 'everyone was cut off')
    await Promise.all(people.map(async person => { await person.leave() }))
  })

  await t.test('with Redis down, log-in works through the load balancer and the rest is answered by a gateway', async t => {
    const ada = await world.signup()
    const answers = async (): Promise<number[]> => await Promise.all(['gateway-1', 'gateway-2'].map(async gateway => (await fetch(`${urlOf(gateway, 8080)}/readyz`)).status))
    await until(async () => (await answers()).every(status => status === 200))
    await stack.redis.kill()
    await until(async () => (await answers()).every(status => status === 503))
    await until(async () => (await logIn.post('/auth/login', { username: ada.user.username, password: 'correct horse battery' })).status === 200, { what: 'a log-in while Redis is down' })
    t.match(await logIn.get(`/rooms/${[...world.rooms][0]}/messages`, ada.access_token), { status: 503, body: { code: 'unavailable' } })
    await stack.redis.restart()
    await until(async () => (await answers()).every(status => status === 200))
    t.equal((await logIn.get(`/rooms/${[...world.rooms][0]}/messages`, ada.access_token)).status, 200)
  })

  await t.test('told to stop, everything ends with 0', async t => {
    const codes = await Promise.all(Object.entries(containers).map(async ([name, one]) => [name, await one.stop()]))
    t.same(Object.fromEntries(codes), Object.fromEntries(Object.keys(containers).map(name => [name, 0])))
  })
})

t.test('the balancer’s file is one that HAProxy takes', { skip: programOf('haproxy') === undefined ? sorry : false }, async t => {
  t.match(spawnSync(programOf('haproxy')!, ['-c', '-f', 'docker/haproxy.cfg'], { encoding: 'utf8', cwd: ROOT }), { status: 0 })
})
