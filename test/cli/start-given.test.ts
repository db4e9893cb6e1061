import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import t from 'tap'
import { freePort } from '../../src/dev/ports.ts'
import { postgresAccount } from '../../src/dev/postgres-account.ts'
import { askPostgres } from '../../src/dev/postgres-server.ts'
import { signalProcess } from '../../src/dev/processes.ts'
import { askRedis } from '../../src/dev/redis-server.ts'
import { rememberedProcesses } from '../../src/dev/run-file.ts'
import { testPostgres, testRedis } from '../dev/servers.ts'
import { until } from '../until.ts'
import { ask, dataDirectory, drained, launch, lines } from './launcher.ts'

t.test('a Redis and a Postgres that were given are used, each alone as well', async t => {
  const [redis, postgres] = await Promise.all([testRedis(t, { password: 'secretword' }), testPostgres(t)])
  const databaseUrl = await postgres.createDatabase()
  await Promise.all([
    { REDIS_URL: redis.url },
    { DATABASE_URL: databaseUrl },
    { REDIS_URL: redis.url, DATABASE_URL: databaseUrl, JWT_PRIVATE_KEY: 'given', METRICS_FROM: 'http://elsewhere/metrics.json', OPS_PORT: '19465' },
  ].map(async given => {
    const dataDir = dataDirectory(t)
    const launched = launch(t, dataDir, given as Record<string, string>)
    const { env } = await ask(await launched.ready())
    for (const [name, value] of Object.entries(given)) t.ok(env[name]?.startsWith(value), `${name} is the given one`)
    t.equal(existsSync(join(dataDir, 'redis')), !('REDIS_URL' in given))
    t.equal(existsSync(join(dataDir, 'postgres')), !('DATABASE_URL' in given))
    t.equal(existsSync(join(dataDir, 'jwt-private-key.pem')), !('JWT_PRIVATE_KEY' in given))
    signalProcess(launched.id, 'SIGTERM')
    t.match(await launched.ended(), { code: 0 })
    t.same(drained(dataDir), ['with both servers', 'with both servers'])
  }))
  t.ok((await askRedis(redis.url)).info, 'the given Redis was left alone')
  t.ok((await askPostgres(databaseUrl, 'SELECT 1')).rows, 'the given Postgres was left alone')
})

t.test('given servers may want TLS and passwords', { skip: hasOpenssl() ? false : 'no openssl to make a certificate with' }, async t => {
  const home = dirname(dataDirectory(t))
  const [cert, key] = [join(home, 'cert.pem'), join(home, 'key.pem')]
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'ignore' })
  const account = await postgresAccount()
  if (account !== undefined) chownSync(key, account.uid, account.gid)
  chmodSync(key, 0o600)
  const tlsPort = String(await freePort())
  const [, postgres] = await Promise.all([
    testRedis(t, { password: 'p', args: ['--tls-port', tlsPort, '--tls-cert-file', cert, '--tls-key-file', key, '--tls-auth-clients', 'no'] }),
    testPostgres(t, { args: ['-c', 'ssl=on', '-c', `ssl_cert_file=${cert}`, '-c', `ssl_key_file=${key}`] }),
  ])
  const given = { REDIS_URL: `rediss://default:p@127.0.0.1:${tlsPort}`, DATABASE_URL: `${await postgres.createDatabase()}?sslmode=verify-full` }
  const trusting = launch(t, dataDirectory(t), { ...given, NODE_EXTRA_CA_CERTS: cert })
  await trusting.ready()
  signalProcess(trusting.id, 'SIGTERM')
  t.match(await trusting.ended(), { code: 0 })
  t.same(drained(trusting.dataDir), ['with both servers', 'with both servers'])
  const wary = launch(t, dataDirectory(t), given)
  t.match(await wary.ended(), { code: 1 })
  t.match(wary.err(), /cannot be used \(self-signed certificate/)
})

function hasOpenssl (): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

t.test('what cannot work is one line that says what to do, and exit code 1', async t => {
  const [redis, postgres] = await Promise.all([testRedis(t, { password: 'rightword' }), testPostgres(t)])
  const taken = createServer().listen(0, '127.0.0.1')
  const old = createServer(socket => { // a Redis of long ago, as far as INFO goes
    const info = '# Server\r\nredis_version:6.2.14\r\nloading:0\r\n'
    socket.on('error', () => {})
    socket.on('data', data => { socket.write(data.toString().toLowerCase().split('*').slice(1).map(command => /\binfo\b/.test(command) && !command.includes('setinfo') ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n').join('')) })
  }).listen(0, '127.0.0.1')
  t.teardown(() => { taken.close(); old.close() })
  await until(() => taken.listening && old.listening)
  const portOf = (server: typeof taken): string => String((server.address() as AddressInfo).port)
  const wrong = (url: string, password: string): string => Object.assign(new URL(url), { password }).href
  const blocked = join(dirname(dataDirectory(t)), 'a-file')
  writeFileSync(blocked, '')

  const cases: Array<[string, Record<string, string>, RegExp]> = [
    ['a taken port', { PORT: portOf(taken) }, new RegExp(`port ${portOf(taken)} on 127.0.0.1 is taken.*set PORT`)],
    ['a host of another machine', { HOST: '192.0.2.1', PORT: '8080' }, /HOST=192\.0\.2\.1 .*set HOST/],
    ['an unreachable Redis', { REDIS_URL: 'redis://:wrongword@127.0.0.1:1' }, /REDIS_URL \(redis:\/\/127\.0\.0\.1:1\) cannot be used \(.*ECONNREFUSED.*\): start that Redis/],
    ['a Redis that speaks no TLS', { REDIS_URL: redis.url.replace('redis:', 'rediss:') }, /REDIS_URL \(rediss:\/\/127\.0\.0\.1:\d+\) cannot be used/],
    ['a wrong password of Redis', { REDIS_URL: wrong(redis.url, 'wrongword') }, /REDIS_URL .* cannot be used \(.*WRONGPASS/],
    ['an old Redis', { REDIS_URL: `redis://127.0.0.1:${portOf(old)}` }, /REDIS_URL .* is Redis 6\.2\.14, and Millrace needs Redis 7\.0 or Valkey 7\.2: upgrade it/],
    ['an unreachable Postgres', { DATABASE_URL: 'postgres://me:wrongword@127.0.0.1:1/chat' }, /DATABASE_URL \(postgres:\/\/127\.0\.0\.1:1\/chat\) cannot be used \(.*ECONNREFUSED.*\): start that Postgres/],
    ['a wrong password of Postgres', { DATABASE_URL: wrong(postgres.urlOf('postgres'), 'wrongword') }, /DATABASE_URL .* cannot be used \(password authentication failed/],
    ['a database that is not there', { DATABASE_URL: postgres.urlOf('nowhere') }, /DATABASE_URL .* cannot be used \(database "nowhere" does not exist/],
    ['a data directory that is a file', { DATA_DIR: blocked }, /data directory .*a-file cannot be used .*set DATA_DIR/],
    ['a bad variable', { PORT: 'eighty' }, /PORT="eighty" is not valid/],
    ['a role that fails at its start', { FAIL: 'projector', REDIS_URL: redis.url, DATABASE_URL: postgres.urlOf('postgres') }, /^projector: this is why it failed\n$/],
    ['a migration that fails', { FAIL: 'migrate', REDIS_URL: redis.url, DATABASE_URL: postgres.urlOf('postgres') }, /^migrate: this is why it failed\n$/],
  ]
  const todo = [...cases]
  await Promise.all([1, 2, 3].map(async () => { // three at a time
    for (let next = todo.shift(); next !== undefined; next = todo.shift()) {
      const [what, env, expected] = next
      const dataDir = dataDirectory(t)
      const launched = launch(t, dataDir, env)
      t.match(await launched.ended(), { code: 1 }, what)
      t.match(launched.err(), expected, what)
      t.equal(lines(launched.err()).length, 1, `${what}: one line`)
      t.equal(launched.out(), '', `${what}: nothing else`)
      t.notMatch(launched.err() + launched.out(), /wrongword|rightword|\bat .*:\d+:\d+/, `${what}: no password, no stack`)
      t.notOk(existsSync(join(dataDir, 'redis')), `${what}: nothing was started`)
      t.same(rememberedProcesses(dataDir), [])
    }
  }))
})
