// `millrace status` after each component in turn was killed: its first line names the culprit.
import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { lookOnce, screenOf, statusCommand } from '../../src/cli/status.ts'
import { loadConfig } from '../../src/config.ts'
import type { Status } from '../../src/operations/report.ts'
import { millrace, startRole } from '../e2e/world.ts'
import { until } from '../until.ts'
import { run } from './run.ts'
import { saysOver } from './says.ts'

const MILLRACE = fileURLToPath(new URL('../../bin/millrace.js', import.meta.url))

const world = await millrace(t)
const jobs = await startRole(t, ['jobs'], world.env)
const [gateway] = world.gateways as [typeof world.gateways[0]]
const [projector] = world.projectors as [typeof world.projectors[0]]

const config = loadConfig(world.env)

const says = saysOver(config)
const isWell = async (): Promise<string> => await says(/^All is well: 4 processes are ready\.\n/, 0)
const json = async (): Promise<Status> => await lookOnce(config)

t.test('all is well, in one screen', async t => {
  const ada = await world.signup()
  const room = await world.room(ada.access_token)
  const client = await world.connect(0, ada.access_token)
  await client.message(room, 'hello')
  await world.projected()
  const screen = await isWell()
  t.match(await run(world.env, 'status'), { code: 0, out: /^All is well: 4 processes are ready\.\n/ }, 'as a command')
  t.ok(screen.split('\n').length < 40, 'it fits a screen')
  for (const part of [/gateway +\S+ \d+ +ready, up \d+ s/, /REDIS +redis:\/\/127\.0\.0\.1:\d+, redis \d/, /acks are worth fsync/, /16 partitions, 0 fenced/, /POSTGRES +postgres:\/\/127\.0\.0\.1:\d+, \d/, /archive_v1 +1 workers +16\/16 partitions +no lag/]) t.match(screen, part)
  const status = await json()
  t.match(status, { ok: true, troubles: [], partitions: 16, redis: { partitions: 16, master: true, aof: true }, postgres: { partitions: 16, in_recovery: false }, parked: [] })
  t.same(status.nodes!.map(({ role }) => role).sort(), ['gateway', 'gateway', 'jobs', 'projector'])
  await until(async () => (await json()).nodes!.some(({ url, connections }) => url === world.urlOf(0) && connections === 1), { what: 'the socket to be counted' })
  t.notMatch(screen, 'test@', 'no password is shown')
})

t.test('the projector is killed', async t => {
  await projector.kill()
  t.match(await says(/^projector: none alive since \S+Z\n/, 2), /history_v1: nobody serves 16 partitions of 16/)
  const bob = await world.signup()
  const room = await world.room(bob.access_token)
  const client = await world.connect(1, bob.access_token)
  for (let i = 0; i < 5; i++) await client.message(room, 'does anybody read this?')
  const behind = (await json()).projections!.find(({ projection }) => projection === 'history_v1')!
  t.equal(behind.lag_rooms, 1)
  t.ok(behind.lag_events! >= 6 && behind.lag_seconds! >= 0, JSON.stringify(behind))
  await projector.restart()
  await isWell()
  t.match((await json()).projections!.find(({ projection }) => projection === 'history_v1'), { lag_events: 0, workers: 1, partitions: 16 })
})

t.test('a gateway is killed, and another stopped as asked', async t => {
  await gateway.kill()
  await says(/^gateway on \S+ \(pid \d+, http:\/\/127\.0\.0\.1:\d+\) has been silent since \S+Z\n/, 2)
  await gateway.restart()
  t.match(await isWell(), /silent since/, 'it is still shown, and replaced')
  await world.gateways[1]!.stop()
  await says(/^All is well: 3 processes are ready\.\n/, 0)
  await world.gateways[1]!.restart()
  await isWell()
})

t.test('the jobs are stopped', async t => {
  await jobs.stop()
  await says(/^jobs: none alive since \S+Z \(stopped\)\n/, 2)
  t.match(await run(world.env, 'status', '--json'), { code: 2, out: /^{"at":[^]*"jobs: none alive since/ }, 'as a command')
  await jobs.restart()
})

t.test('a room is parked', async t => {
  const room = '00000000-0000-7000-8000-00000000abcd'
  await world.store.query("INSERT INTO parked_rooms (projection, room_id, partition, seq, error, error_code) VALUES ('archive_v1', $1, 1, 7, E'neither\nnor', 'hole')", [room])
  t.match(await says(/^archive_v1 is parked in 1 room: see millrace park list\n/, 2), new RegExp(`archive_v1 +${room} +seq 7 +since \\S+Z +hole: neither\\n`))
  await world.store.query('DELETE FROM parked_rooms')
})

t.test('--watch looks again and again, until it is told to end', async t => {
  const child = spawn(process.execPath, [MILLRACE, 'status', '--watch', '--json'], { env: { PATH: process.env.PATH, ...world.env } })
  let out = ''
  child.stdout.on('data', data => { out += String(data) })
  await until(() => out.split('\n').length > 2, { what: 'a second look' })
  child.kill('SIGINT')
  t.same(await once(child, 'close'), [0, null])
  const [first, second] = out.split('\n').map(line => line === '' ? undefined : JSON.parse(line) as Status)
  t.ok(Date.parse(second!.at) - Date.parse(first!.at) >= 2000)
})

t.test('a wrong number of partitions is said, and a wrong command line', async t => {
  t.match(screenOf(await lookOnce(loadConfig({ ...world.env, PARTITIONS: '32' }))), /^Redis holds a deployment with 16 partitions, and PARTITIONS is 32: set PARTITIONS=16\n/)
  await t.rejects(statusCommand(['--all'], config), { name: 'UsageError' })
  t.match(await run({ DATA_DIR: '/nowhere' }, 'status'), { code: 1, err: /^No running Millrace was found in \/nowhere/ })
})
