// `millrace doctor` against a real Redis and a real Postgres: what is set as it should be is well, and for what was set wrong on purpose it
// names the line to change.
import t from 'tap'
import { migrate } from '../../src/store/migrate.ts'
import { checkPostgresPartitions } from '../../src/store/deployment.ts'
import { checkRedisPartitions } from '../../src/log/deployment.ts'
import { connectRedis } from '../../src/log/redis.ts'
import type { Check } from '../../src/operations/checkup.ts'
import { openStore } from '../../src/store/pool.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { testServers } from '../dev/servers.ts'
import { run } from './run.ts'

const logger = createLogger({ level: 'silent', role: 'test' })
// As a person would set them for production.
const { redis: redisServer, postgres, redisUrl, databaseUrl } = await testServers(t, {
  redisArgs: ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory', '200mb', '--maxmemory-policy', 'noeviction'],
  postgresArgs: ['-c', 'fsync=on', '-c', 'full_page_writes=on'],
})
const redis = await connectRedis(redisUrl, 'test', logger)
const store = await openStore({ url: databaseUrl, max: 2, name: 'test', log: logger })
t.teardown(async () => { redis.disconnect(); await store.close() })
const env = { REDIS_URL: redisUrl, DATABASE_URL: databaseUrl, PARTITIONS: '16', CONNECTIONS_MAX: '10' }

const examined = async (more: Record<string, string> = {}): Promise<{ code: number, checks: Check[], of: (part: string, name: string) => Check | undefined }> => {
  const { code, out, err } = await run({ ...env, ...more }, 'doctor', '--json')
  if (out === '') throw new Error(err)
  const { checks } = JSON.parse(out) as { checks: Check[] }
  return { code, checks, of: (part, name) => checks.find(check => check.part === part && check.name === name) }
}

t.test('before the first start the migrations are missing', async t => {
  const { code, of } = await examined()
  t.equal(code, 2)
  t.match(of('postgres', 'migrations'), { verdict: 'wrong', found: /^\d+ missing: 0001_log, 0002_history, 0003_accounts, …$/, change: 'npx millrace migrate' })
  await migrate({ store, log: logger })
  await checkPostgresPartitions(store, 16)
  await checkRedisPartitions(redis, 16)
})

t.test('servers that are set as they should be are well', async t => {
  const { code, checks } = await examined()
  t.same(checks.filter(({ verdict }) => verdict === 'wrong' || verdict === 'unknown'), [])
  t.equal(code, 0)
  for (const name of ['version', 'maxmemory-policy', 'maxmemory', 'appendonly', 'appendfsync', 'append-only file', 'timeout', 'client-output-buffer-limit', 'maxclients', 'min-replicas-to-write', 'clock', 'free disk']) t.match(checks.find(check => check.part === 'redis' && check.name === name), { verdict: 'well', found: /./ }, name)
  for (const name of ['version', 'role', 'migrations', 'synchronous_commit', 'fsync', 'full_page_writes', 'max_connections', 'autovacuum', 'server_encoding', 'clock', 'role millrace_reader']) t.match(checks.find(check => check.part === 'postgres' && check.name === name), { verdict: 'well', found: /./ }, name)
  t.match(checks.find(({ part, name }) => part === 'redis' && name === 'replicas'), { verdict: 'better', change: /^replicaof / })
  t.match(checks.filter(({ part }) => part === 'deployment' || part === 'host').map(({ name, verdict }) => [name, verdict]), [['partitions', 'well'], ['Node', 'well'], ['open files', 'well']])
  t.match(await run(env, 'doctor'), { code: 0, out: /^0 wrong, 1 could be better, \d+ well\n[^]*\nok {6}redis maxmemory-policy: noeviction\n[^]*\nbetter {2}redis replicas: 0 connected\n {10}with this machine .*\n {10}→ replicaof / })
})

t.test('of Redis: what is set wrong on purpose is found, with the line to change', async t => {
  const wrong = [
    ['maxmemory-policy', 'allkeys-lru', 'maxmemory-policy', 'wrong', /^maxmemory-policy noeviction$/],
    ['maxmemory', '0', 'maxmemory', 'better', /^maxmemory \d+mb$/],
    ['maxmemory', String(2 ** 50), 'maxmemory', 'wrong', /^maxmemory \d+mb$/],
    ['appendfsync', 'everysec', 'appendfsync', 'better', /^appendfsync always$/],
    ['appendfsync', 'no', 'appendfsync', 'wrong', /^appendfsync always$/],
    ['timeout', '10', 'timeout', 'wrong', /^timeout 0$/],
    ['client-output-buffer-limit', 'pubsub 1mb 512kb 60', 'client-output-buffer-limit', 'wrong', /^client-output-buffer-limit pubsub 32mb 8mb 60$/],
    ['min-replicas-to-write', '1', 'min-replicas-to-write', 'wrong', /^min-replicas-to-write 0$/],
    ['appendonly', 'no', 'appendonly', 'wrong', /^appendonly yes$/],
  ] as const
  for (const [setting, value, name, verdict, change] of wrong) {
    const before = (await redis.config('GET', setting) as string[])[1]!
    await redis.config('SET', setting, value)
    const { code, of } = await examined()
    t.match(of('redis', name), { verdict, change, why: /\w/ }, `${setting} ${value}`)
    t.equal(code, verdict === 'wrong' ? 2 : 0, `${setting} ${value}: exit code`)
    await redis.config('SET', setting, before)
  }
  await redis.call('ACL', 'SETUSER', 'guarded', 'on', '>secret', '~*', '&*', '+@all', '-config')
  const { checks, code } = await examined({ REDIS_URL: redisUrl.replace('redis://', 'redis://guarded:secret@') })
  t.ok(checks.some(({ part, verdict }) => part === 'redis' && verdict === 'unknown'))
  t.equal(code, 0, 'what may not be asked is not wrong')
  t.notMatch(JSON.stringify(checks), 'secret')
})

t.test('of Postgres: the same', async t => {
  const wrong = [
    ['synchronous_commit', 'off', 'wrong', /^synchronous_commit = on$/],
    ['full_page_writes', 'off', 'wrong', /^full_page_writes = on$/],
    ['fsync', 'off', 'wrong', /^fsync = on$/],
    ['autovacuum', 'off', 'wrong', /^autovacuum = on$/],
    ['idle_session_timeout', '60s', 'better', /^idle_session_timeout = 0$/],
  ] as const
  for (const [setting, value, verdict, change] of wrong) {
    await postgres.restart({ args: ['-c', 'fsync=on', '-c', 'full_page_writes=on', '-c', `${setting}=${value}`] })
    const { code, of } = await examined()
    t.match(of('postgres', setting), { verdict, change, why: /\w/ }, `${setting} = ${value}`)
    t.equal(code, verdict === 'wrong' ? 2 : 0, `${setting} = ${value}: exit code`)
  }
  await postgres.restart({ args: ['-c', 'fsync=on', '-c', 'full_page_writes=on', '-c', 'max_connections=30'] })
  t.match((await examined()).of('postgres', 'max_connections'), { verdict: 'wrong', found: /^30, and 3 processes with 10 connections each may need \d+$/, change: /^max_connections = \d+0$/ })
  await postgres.restart({ args: ['-c', 'fsync=on', '-c', 'full_page_writes=on'] })
})

t.test('a deployment that does not fit is found', async t => {
  t.match((await examined({ PARTITIONS: '32' })).of('deployment', 'partitions'), { verdict: 'wrong', found: 'PARTITIONS is 32, Redis holds 16, Postgres holds 16', change: 'PARTITIONS=16' })
  t.match((await examined({ CONNECTIONS_MAX: '1000000' })).of('host', 'open files'), { verdict: /better|well/ })
})

t.test('a server that does not answer is wrong, and the other is checked all the same', async t => {
  await redisServer.kill()
  const { code, of } = await examined()
  t.equal(code, 2)
  t.match(of('redis', 'answers'), { verdict: 'wrong', found: /^Redis at redis:\/\/127\.0\.0\.1:\d+ does not: connect ECONNREFUSED/ })
  t.match(of('postgres', 'version'), { verdict: 'well' })
  await postgres.kill()
  t.equal((await examined()).code, 1, 'neither could be asked')
  t.match(await run(env, 'doctor', '--all'), { code: 2, err: /Usage: millrace doctor/ })
})
