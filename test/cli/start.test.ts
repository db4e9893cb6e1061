import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { askPostgres } from '../../src/dev/postgres-server.ts'
import { isAlive, processId, signalProcess, waitGone } from '../../src/dev/processes.ts'
import { askRedis } from '../../src/dev/redis-server.ts'
import { findRunning, rememberedProcesses } from '../../src/dev/run-file.ts'
import { BASE, testPostgres, testRedis } from '../dev/servers.ts'
import { until } from '../until.ts'
import { all, ask, dataDirectory, drained, launch, LAUNCHER, lines, serversOf } from './launcher.ts'

const linux = process.platform === 'linux' ? false : 'processes are found through /proc'

const mode = (...path: string[]): string => (statSync(join(...path)).mode & 0o777).toString(8)

t.test('one command brings everything up, says where, and a signal to all of the terminal ends it cleanly', { skip: linux }, async t => {
  const dataDir = dataDirectory(t)
  const first = launch(t, dataDir)
  const url = await first.ready()
  await until(() => lines(first.out()).length === 4)
  t.equal(lines(first.out())[0], `Millrace is ready on ${url}`)
  t.match(first.out(), `curl ${url}/auth/signup`)
  t.match(first.out(), 'npm run demo')
  t.match(first.out(), `${url}/metrics`)
  t.equal(first.err(), '')

  const run = findRunning(dataDir)
  t.match(run, { pid: first.id.pid, url, redis_url: /^redis:\/\/:\w{48}@127\.0\.0\.1:\d+$/, database_url: /^postgres:\/\/millrace:\w{48}@127\.0\.0\.1:\d+\/millrace$/ })
  for (const file of ['run.json', 'lock.json', 'jwt-private-key.pem', 'redis.password', 'postgres.password', 'redis.json', 'processes.json']) t.equal(mode(dataDir, file), '600', `${file} is ours alone`)
  t.equal(mode(dataDir), process.getuid?.() === 0 ? '711' : '700')
  t.match(await askRedis(run?.redis_url ?? ''), { info: { aof_enabled: '1' } })
  t.same((await askPostgres(run?.database_url ?? '', 'SHOW fsync')).rows, [{ fsync: 'on' }])
  t.same((await askPostgres(run?.database_url ?? '', 'SELECT current_setting(\'max_connections\')::int >= 200 AS enough')).rows, [{ enough: true }])

  const seen = await ask(url)
  t.same(seen.args, ['gateway', 'jobs'])
  t.match(seen.env, { REDIS_URL: run?.redis_url, DATABASE_URL: run?.database_url, DATA_DIR: dataDir, JWT_PRIVATE_KEY: /^-----BEGIN PRIVATE KEY-----/, METRICS_FROM: /^http:\/\/127\.0\.0\.1:\d+\/metrics\.json$/ })
  t.equal(seen.env.METRICS_FROM, `http://127.0.0.1:${seen.env.OPS_PORT}/metrics.json`)
  t.notMatch(execFileSync('cat', serversOf(dataDir).map(({ pid }) => `/proc/${pid}/cmdline`)).toString(), new URL(run?.redis_url ?? '').password, 'no password on a command line')

  const everything = all(first)
  t.equal(everything.length >= 6, true, `launcher, two children, Redis, Postgres and its workers (${everything.length})`)
  signalProcess(first.id, 'SIGINT') // what npm and a terminal's group do: the same signal twice, children in sessions of their own
  signalProcess(first.id, 'SIGINT')
  t.match(await first.ended(), { code: 0, signal: null })
  t.same(everything.filter(isAlive), [], 'no process is left')
  t.same(drained(dataDir), ['with both servers', 'with both servers'], 'the servers outlive the drain')
  t.notOk(existsSync(join(dataDir, 'interrupted')), 'children hear of it from the launcher only')
  t.same(['run.json', 'lock.json', 'processes.json'].filter(file => existsSync(join(dataDir, file))), [])
  t.equal(findRunning(dataDir), undefined)

  const second = launch(t, dataDir)
  t.equal((await ask(await second.ready())).env.JWT_PRIVATE_KEY, seen.env.JWT_PRIVATE_KEY, 'the signing key stays')
  t.same((await askPostgres(findRunning(dataDir)?.database_url ?? '', 'SELECT count(*)::int AS n FROM starts')).rows, [{ n: 2 }], 'state stays')
  signalProcess(second.id, 'SIGTERM')
  t.match(await second.ended(), { code: 0 })
})

t.test('any part that is killed comes back, and a launcher that is killed is taken over from', { skip: linux }, async t => {
  const dataDir = dataDirectory(t)
  const first = launch(t, dataDir, { DRAIN_FOR_MS: '1500' })
  const url = await first.ready()
  const { redis_url: redisUrl = '', database_url: databaseUrl = '' } = findRunning(dataDir) ?? {}
  const killed = await ask(url)
  process.kill(killed.pid, 'SIGKILL')
  const again = await until(async () => await ask(url).catch(() => undefined), { what: 'the gateway on the same port' })
  t.not(again?.pid, killed.pid)
  t.equal(again?.env.OPS_PORT, killed.env.OPS_PORT, 'the projector stays where the gateway looks for its metrics')

  const projector = rememberedProcesses(dataDir).find(({ name }) => name === 'projector')
  process.kill(projector?.pid ?? 0, 'SIGKILL')
  await until(() => /The projector is back/.test(first.out()), { what: 'another projector' })

  for (const id of serversOf(dataDir)) signalProcess(id, 'SIGKILL') // Redis, Postgres, its workers
  await until(async () => (await askRedis(redisUrl)).info !== undefined, { what: 'Redis on the same port' })
  await until(async () => (await askPostgres(databaseUrl, 'SELECT 1')).rows !== undefined, { what: 'Postgres on the same port' })
  await until(() => /Redis is back/.test(first.out()) && /Postgres is back/.test(first.out()))
  t.match(first.out(), 'The gateway ended by itself: starting it again')
  t.equal(first.err(), '')

  const children = rememberedProcesses(dataDir)
  const servers = serversOf(dataDir)
  signalProcess(first.id, 'SIGKILL')
  await waitGone(first.id, 2000)
  t.equal(findRunning(dataDir), undefined, 'a killed launcher is not running')
  const second = launch(t, dataDir, { PORT: new URL(url).port }) // at once: the old gateway still drains and holds the port
  t.equal(await second.ready(), url)
  t.match(second.out(), /Waiting for processes of a killed npm start to end: .*gateway \(pid \d+\)/)
  t.match(second.out(), 'Redis still runs')
  t.match(second.out(), 'Postgres still runs')
  t.same(children.filter(isAlive), [], 'the old children ended by themselves')
  t.same(drained(dataDir), ['with both servers', 'with both servers'], 'and drained before they did')
  t.ok(servers.some(isAlive), 'the servers are the same')
  t.match(findRunning(dataDir), { redis_url: redisUrl, database_url: databaseUrl })

  for (const id of all(second)) signalProcess(id, 'SIGKILL') // everything at once
  const third = launch(t, dataDir)
  await third.ready()
  t.same((await askPostgres(findRunning(dataDir)?.database_url ?? '', 'SELECT count(*)::int AS n FROM starts')).rows, [{ n: 3 }])
  const everything = all(third)
  signalProcess(third.id, 'SIGTERM')
  t.match(await third.ended(), { code: 0 })
  t.same(everything.filter(isAlive), [])
})

t.test('a data directory has one launcher: of several at once exactly one starts', { skip: linux }, async t => {
  const [redis, postgres] = await Promise.all([testRedis(t), testPostgres(t)])
  const dataDir = dataDirectory(t)
  mkdirSync(dataDir)
  writeFileSync(join(dataDir, 'lock.json'), JSON.stringify({ pid: process.pid, started: 'another run of that pid', id: 'old' })) // a killed one's
  const given = { REDIS_URL: redis.url, DATABASE_URL: postgres.urlOf('postgres') }
  const launched = [1, 2, 3].map(() => launch(t, dataDir, given))
  await until(() => launched.some(one => one.out().includes('ready')) && launched.filter(one => one.child.exitCode !== null).length === 2, { what: 'one to be ready and two to give up' })
  const winner = launched.find(one => one.child.exitCode === null)
  for (const loser of launched.filter(one => one !== winner)) {
    t.match(await loser.ended(), { code: 1 })
    t.match(loser.err(), new RegExp(`^Millrace could not start: the data directory ${dataDir} is in use by pid ${winner?.id.pid}: .*DATA_DIR.*\n$`))
  }
  t.match(findRunning(dataDir), { pid: winner?.id.pid })
  t.same(readdirSync(dataDir).filter(name => name.startsWith('lock')), ['lock.json'], 'no draft of a lock is left')
})

t.test('a failing role stops what was started for it', { skip: linux }, async t => {
  const dataDir = dataDirectory(t)
  const launched = launch(t, dataDir, { FAIL: 'gateway+jobs' })
  t.match(await launched.ended(), { code: 1 })
  t.equal(launched.err(), 'gateway+jobs: this is why it failed\n')
  t.same(serversOf(dataDir), [])
  t.notOk(existsSync(join(dataDir, 'lock.json')))
})

t.test('a signal while it starts ends it with 0 and leaves nothing', { skip: linux }, async t => {
  await Promise.all(['redis', 'postgres/data', 'started'].map(async sign => {
    const dataDir = dataDirectory(t)
    const launched = launch(t, dataDir)
    await until(() => existsSync(join(dataDir, sign)), { everyMs: 1 })
    signalProcess(launched.id, 'SIGTERM')
    const end = await launched.ended()
    t.match(end, { code: 0, signal: null }, sign)
    t.ok(end.ms < 10_000)
    t.same([...serversOf(dataDir), ...rememberedProcesses(dataDir)], [])
    t.equal(launched.err(), '')
  }))
})

t.test('a child that does not drain is killed in time, and one that fails again and again is tried again', { skip: linux }, async t => {
  const [redis, postgres] = await Promise.all([testRedis(t), testPostgres(t)])
  const dataDir = dataDirectory(t)
  const launched = launch(t, dataDir, { DEAF: 'projector', FAIL_AGAIN: 'gateway+jobs', DRAIN_MS: '200', REDIS_URL: redis.url, DATABASE_URL: postgres.urlOf('postgres') })
  const { pid } = await ask(await launched.ready())
  process.kill(pid, 'SIGKILL')
  await until(() => /The gateway could not be started: trying again in 1 s/.test(launched.out()), { what: 'two attempts' })
  const everything = all(launched)
  signalProcess(launched.id, 'SIGTERM')
  const end = await launched.ended()
  t.equal(end.code, 0)
  t.ok(end.ms < 10_000, `${Math.round(end.ms)} ms`)
  t.same(everything.filter(isAlive), [])
})

t.test('a SIGTERM to npm alone reaches the launcher', { skip: linux }, async t => {
  const [redis, postgres] = await Promise.all([testRedis(t), testPostgres(t)])
  const dataDir = dataDirectory(t)
  const home = dirname(dataDir)
  writeFileSync(join(home, 'package.json'), JSON.stringify({ scripts: { start: `exec ${LAUNCHER.join(' ')}` } }))
  const npm = launch(t, dataDir, { REDIS_URL: redis.url, DATABASE_URL: postgres.urlOf('postgres') }, ['npm', 'start'], home)
  await npm.ready()
  const launcher = processId(findRunning(dataDir)?.pid ?? 0)
  t.not(launcher?.pid, npm.id.pid)
  const everything = [launcher, ...all(npm)].filter(id => id !== undefined)
  signalProcess(npm.id, 'SIGTERM')
  t.match(await npm.ended(), { code: 0, signal: null })
  await until(() => !everything.some(isAlive), { what: 'everything to be gone' })
  t.same(drained(dataDir), ['with both servers', 'with both servers'])
})

t.test('as root, Postgres works from a data directory that its user cannot reach', { skip: process.getuid?.() === 0 ? linux : 'not root' }, async t => {
  const dataDir = dataDirectory(t)
  const library = mkdtempSync(join(BASE, 'millrace-library-'))
  chmodSync(library, 0o755)
  t.teardown(() => { rmSync(library, { recursive: true, force: true }) })
  const open = launch(t, dataDir, { LAUNCHER_LIBRARY: library })
  await open.ready()
  signalProcess(open.id, 'SIGTERM')
  t.match(await open.ended(), { code: 0 })
  t.notMatch(open.out(), `cannot reach ${dataDir}`)

  chmodSync(dirname(dataDir), 0o700) // the data that is there already moves
  for (const starts of [2, 3]) {
    const shut = launch(t, dataDir, { LAUNCHER_LIBRARY: library })
    await shut.ready()
    const place = /cannot reach \S+: the data of Postgres is in (\S+)$/m.exec(shut.out())?.[1] ?? ''
    t.equal(dirname(place), library)
    t.equal(readFileSync(join(dataDir, 'postgres.moved'), 'utf8'), `${place}\n`)
    t.same((await askPostgres(findRunning(dataDir)?.database_url ?? '', 'SELECT count(*)::int AS n FROM starts')).rows, [{ n: starts }], 'the same data')
    signalProcess(shut.id, 'SIGTERM')
    t.match(await shut.ended(), { code: 0 })
  }
  rmSync(dataDir, { recursive: true }) // a deleted data directory begins anew, and nothing is thrown away
  const anew = launch(t, dataDir, { LAUNCHER_LIBRARY: library })
  await anew.ready()
  t.match(anew.out(), /left data of Postgres behind: it was set aside as/)
  t.same((await askPostgres(findRunning(dataDir)?.database_url ?? '', 'SELECT count(*)::int AS n FROM starts')).rows, [{ n: 1 }])
  t.equal(readdirSync(library).filter(name => !name.startsWith('postgres-')).length, 2)
  signalProcess(anew.id, 'SIGTERM')
  t.match(await anew.ended(), { code: 0 })
})
