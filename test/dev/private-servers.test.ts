import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import t from 'tap'
import { startPostgres } from '../../src/dev/postgres.ts'
import { askPostgres } from '../../src/dev/postgres-server.ts'
import { endProcess, isAlive, signalProcess, waitGone, workingIn } from '../../src/dev/processes.ts'
import { startRedis } from '../../src/dev/redis.ts'
import { until } from '../until.ts'
import { dataDirectory } from '../cli/launcher.ts'

const linux = process.platform === 'linux' ? false : 'processes are found through /proc'
const quiet = (): void => {}

t.test('the private Redis keeps every write, loads an AOF that was cut off, and evicts nothing', async t => {
  const dataDir = dataDirectory(t)
  mkdirSync(dataDir, { mode: 0o755 })
  const first = await startRedis({ dataDir, log: quiet })
  t.teardown(async () => { await first.stop() })
  const client = new Redis(first.url, { retryStrategy: () => null })
  client.on('error', quiet)
  for (const [name, value] of [['appendonly', 'yes'], ['appendfsync', 'always'], ['maxmemory-policy', 'noeviction'], ['save', ''], ['bind', '127.0.0.1']]) {
    t.equal((await client.config('GET', name ?? '') as string[])[1], value, String(name))
  }
  await client.set('kept', 'yes')
  await client.set('cut', 'x'.repeat(100))
  signalProcess(first.id, 'SIGKILL')
  await waitGone(first.id, 2000)
  const dir = join(dataDir, 'redis', 'appendonlydir')
  const file = join(dir, readdirSync(dir).find(name => name.endsWith('.incr.aof')) ?? '')
  truncateSync(file, statSync(file).size - 20)

  const second = await startRedis({ dataDir, log: quiet })
  t.teardown(async () => { await second.stop() })
  t.equal(second.port, first.port, 'the port of the last run, if it is free')
  const again = new Redis(second.url)
  t.equal(await again.get('kept'), 'yes')
  t.equal(await again.get('cut'), null)
  again.disconnect()
  await second.stop()
  await second.stop()
  t.notOk(isAlive(second.id))

  appendFileSync(file, 'not an AOF at all\r\n')
  appendFileSync(file, '*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n')
  await t.rejects(startRedis({ dataDir, log: quiet }), { name: 'StartError', message: /^Redis did not start \(.*(AOF|append only file).*\); its log is .*redis\.log$/ })
})

t.test('a Redis whose launcher was killed is taken over, one that cannot be asked is ended first', { skip: linux }, async t => {
  const dataDir = dataDirectory(t)
  mkdirSync(dataDir, { mode: 0o755 })
  const first = await startRedis({ dataDir, log: quiet })
  const said: string[] = []
  const second = await startRedis({ dataDir, log: line => { said.push(line) } })
  t.same(second.id, first.id)
  t.match(said, ['Redis still runs'])
  rmSync(join(dataDir, 'redis.json')) // its launcher was killed before it could write where it runs
  const third = await startRedis({ dataDir, log: line => { said.push(line) } })
  t.not(third.id.pid, first.id.pid)
  t.notOk(isAlive(first.id), 'never two over the same files')
  t.equal(said.length, 1)
  await waitGone(second.id, 2000)
  await third.stop()
})

t.test('Postgres starts again over whatever a kill left', { skip: linux }, async t => {
  const dataDir = dataDirectory(t)
  mkdirSync(dataDir, { mode: 0o755 })
  const first = await startPostgres({ dataDir, log: quiet })
  const data = join(dataDir, 'postgres', 'data')

  // A worker that is busy does not notice that its postmaster is gone, and holds the shared memory.
  const busy = new pg.Client(first.url)
  busy.on('error', quiet)
  await busy.connect()
  await busy.query('CREATE TABLE kept AS SELECT 1 AS n')
  const query = busy.query('SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b').catch(quiet)
  await until(async () => (await askPostgres(first.url, 'SELECT 1 FROM pg_stat_activity WHERE state = \'active\' AND query LIKE \'%generate_series(1, 1000000) b\'')).rows?.length === 1)
  signalProcess(first.id, 'SIGKILL')
  await waitGone(first.id, 2000)
  await until(() => workingIn(data).length <= 1, { what: 'the idle workers to go' })
  t.equal(workingIn(data).length, 1, 'the busy one is left')
  const second = await startPostgres({ dataDir, log: quiet, port: first.port })
  t.equal(second.url, first.url)
  t.same((await askPostgres(second.url, 'SELECT n FROM kept')).rows, [{ n: 1 }])
  await query
  await busy.end().catch(quiet)

  // The pid in the pid file is somebody else's by now: Postgres itself only asks whether it lives.
  for (const id of [second.id, ...workingIn(data)]) signalProcess(id, 'SIGKILL')
  await waitGone(second.id, 2000)
  const pidFile = join(data, 'postmaster.pid')
  writeFileSync(pidFile, readFileSync(pidFile, 'utf8').replace(/^\d+/, String(process.ppid)))
  const third = await startPostgres({ dataDir, log: quiet })

  const said: string[] = []
  const fourth = await startPostgres({ dataDir, log: line => { said.push(line) } })
  t.same(fourth.id, third.id)
  t.match(said, ['Postgres still runs'])
  await Promise.all([fourth.stop(), third.stop()])
  t.same(workingIn(data), [])
})

t.test('a server that starts is given up when it is told to', { skip: linux }, async t => {
  const dataDir = dataDirectory(t)
  mkdirSync(dataDir, { mode: 0o755 })
  const stopping = AbortSignal.abort()
  await t.rejects(startRedis({ dataDir, log: quiet, signal: stopping }))
  await t.rejects(startPostgres({ dataDir, log: quiet, signal: stopping }))
  const left = [...workingIn(join(dataDir, 'redis')), ...workingIn(join(dataDir, 'postgres', 'data'))]
  t.same(left, [])
  await Promise.all(left.map(async id => { await endProcess(id, []) }))
})
