import { fork } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { isAlive, processId } from '../../src/dev/processes.ts'
import { findRunning, lockDataDir, readJson, rememberedProcesses, rememberProcess, removeRunFile, writeRunFile } from '../../src/dev/run-file.ts'
import { keptPassword, keptSigningKey } from '../../src/dev/secrets.ts'

const directory = (t: { teardown: (fn: () => void) => unknown }): string => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-run-file-'))
  t.teardown(() => { rmSync(dir, { recursive: true }) })
  return dir
}
const RUN = { url: 'http://127.0.0.1:1', redis_url: 'r', database_url: 'd', ready_at: 'now' }

t.test('a lock that is held names who holds it, and a released one is free', async t => {
  const dir = directory(t)
  const release = lockDataDir(dir)
  t.throws(() => lockDataDir(dir), { name: 'StartError', message: new RegExp(`in use by pid ${process.pid}`) })
  release()
  release()
  lockDataDir(dir)()
  t.same(readdirSync(dir), [])
})

t.test('a lock of a run that is over is void, its pid in use again or not', async t => {
  const dir = directory(t)
  for (const pid of [process.pid, 4_000_000]) {
    writeFileSync(join(dir, 'lock.json'), JSON.stringify({ pid, started: 'long ago', id: 'x' }))
    lockDataDir(dir)()
  }
  t.same(readdirSync(dir), [])
})

t.test('of many that break a void lock at once exactly one gets it', async t => {
  for (let round = 0; round < 3; round++) {
    const dir = directory(t)
    writeFileSync(join(dir, 'lock.json'), JSON.stringify({ pid: process.pid, started: 'long ago', id: 'x' }))
    const racers = Array.from({ length: 6 }, () => fork(fileURLToPath(new URL('lock-racer.ts', import.meta.url)), [dir]))
    await Promise.all(racers.map(async racer => await new Promise(resolve => racer.once('message', resolve)))) // all are up
    const outcomes = await Promise.all(racers.map(async racer => await new Promise<string>(resolve => {
      racer.once('message', outcome => resolve(String(outcome)))
      racer.send('go')
    })))
    t.equal(outcomes.filter(outcome => outcome === 'mine').length, 1, outcomes.join(' | '))
    await Promise.all(racers.map(async racer => await new Promise(resolve => { racer.once('exit', resolve); racer.disconnect() })))
  }
})

t.test('run.json is found while its process runs, and is not for others to read', async t => {
  const dir = directory(t)
  t.equal(findRunning(dir), undefined)
  writeRunFile(dir, RUN)
  t.match(findRunning(dir), { ...RUN, pid: process.pid })
  t.equal(statSync(join(dir, 'run.json')).mode & 0o777, 0o600)
  writeFileSync(join(dir, 'run.json'), JSON.stringify({ ...RUN, pid: process.pid, started: 'long ago' }))
  t.equal(findRunning(dir), undefined)
  writeFileSync(join(dir, 'run.json'), '{"pid":')
  t.equal(findRunning(dir), undefined)
  removeRunFile(dir)
  removeRunFile(dir)
})

t.test('processes are remembered by name until they are gone', async t => {
  const dir = directory(t)
  const child = fork(fileURLToPath(new URL('lock-racer.ts', import.meta.url)), [dir])
  const id = processId(child.pid ?? 0)
  if (id === undefined) throw new Error('not started')
  rememberProcess(dir, 'gateway', id)
  t.match(rememberedProcesses(dir), [{ name: 'gateway', pid: id.pid }])
  t.ok(isAlive(id))
  const gone = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
  t.notOk(isAlive(id))
  t.same(rememberedProcesses(dir), [])
  t.equal(readJson(join(dir, 'nothing')), undefined)
})

t.test('a secret is made once, kept with mode 0600, and a spoilt one is not replaced in silence', async t => {
  const dir = directory(t)
  const key = keptSigningKey(dir)
  t.match(key, /^-----BEGIN PRIVATE KEY-----/)
  t.equal(keptSigningKey(dir), key)
  t.equal(keptPassword(dir, 'redis'), keptPassword(dir, 'redis'))
  t.not(keptPassword(dir, 'redis'), keptPassword(dir, 'postgres'))
  for (const file of readdirSync(dir)) t.equal(statSync(join(dir, file)).mode & 0o777, 0o600, file)
  writeFileSync(join(dir, 'jwt-private-key.pem'), 'nonsense')
  t.throws(() => keptSigningKey(dir), { name: 'StartError', message: /jwt-private-key\.pem is not an Ed25519 private key/ })
})
