import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { askPostgres } from '../../src/dev/postgres-server.ts'
import { isAlive, processId, type ProcessId } from '../../src/dev/processes.ts'
import { askRedis } from '../../src/dev/redis-server.ts'
import { until } from '../until.ts'
import { startTestRedis, testPostgres, testRedis, testServers } from './servers.ts'

t.test('a test file gets a Redis and an empty Postgres database of its own', async t => {
  const { redisUrl, databaseUrl, postgres } = await testServers(t)
  t.equal((await askRedis(redisUrl)).info?.loading, '0')
  t.same((await askPostgres(databaseUrl, 'SELECT count(*)::int AS n FROM pg_tables WHERE schemaname = \'public\'')).rows, [{ n: 0 }])
  t.same((await askPostgres(databaseUrl, 'SHOW server_encoding')).rows, [{ server_encoding: 'UTF8' }])
  t.not(await postgres.createDatabase(), databaseUrl, 'each database has a name of its own')
})

t.test('a Redis that was killed comes back on the same port, with its data if it has an AOF', async t => {
  const redis = await testRedis(t, { args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  const { port, pid, url } = redis
  const { Redis } = await import('ioredis')
  const client = new Redis(url)
  client.on('error', () => {})
  t.teardown(() => { client.disconnect() })
  await client.set('kept', 'yes')
  await redis.kill()
  t.ok((await askRedis(url)).error, 'it is gone')
  await redis.restart()
  t.equal(redis.port, port)
  t.not(redis.pid, pid)
  t.equal(await client.get('kept'), 'yes')
})

t.test('a Postgres that was killed comes back on the same port', async t => {
  const postgres = await testPostgres(t)
  const url = await postgres.createDatabase()
  await postgres.kill()
  t.ok((await askPostgres(url, 'SELECT 1')).error, 'it is gone')
  await postgres.restart({ args: ['-c', 'max_connections=17'] })
  t.same((await askPostgres(url, 'SHOW max_connections')).rows, [{ max_connections: '17' }])
})

t.test('a frozen server accepts and does not answer until it is thawed', async t => {
  const { redis, postgres, databaseUrl } = await testServers(t)
  redis.freeze()
  postgres.freeze()
  t.ok((await askRedis(redis.url, { timeoutMs: 200 })).error)
  t.ok((await askPostgres(databaseUrl, 'SELECT 1', 200)).error)
  redis.thaw()
  postgres.thaw()
  t.ok((await askRedis(redis.url)).info)
  t.ok((await askPostgres(databaseUrl, 'SELECT 1')).rows)
})

t.test('stopping twice does nothing more, and the files are gone', async t => {
  const redis = await startTestRedis({ password: 'secret' })
  t.match(redis.url, /^redis:\/\/:secret@/)
  t.ok((await askRedis(redis.url)).info)
  await redis.stop()
  await redis.stop()
  t.notOk(existsSync(redis.dir))
})

t.test('a test process that is killed leaves no server and no file behind', async t => {
  const code = `
    import { startTestRedis, startTestPostgres } from ${JSON.stringify(fileURLToPath(new URL('servers.ts', import.meta.url)))}
    const [r, p] = await Promise.all([startTestRedis(), startTestPostgres()])
    console.log(JSON.stringify({ pids: [r.pid, p.pid], dirs: [r.dir, p.dir] }))
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await Promise.all([new Promise<string>(resolve => createInterface(child.stdout).once('line', resolve))])
  const { pids, dirs } = JSON.parse(line) as { pids: number[], dirs: string[] }
  const ids = pids.map(processId) as ProcessId[]
  t.ok(ids.every(isAlive))
  child.kill('SIGKILL')
  await until(() => !ids.some(isAlive) && !dirs.some(dir => existsSync(dir)), { what: 'servers and files to be gone' })
})
