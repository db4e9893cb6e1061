// `millrace status` after Redis, Postgres or both were killed, or hang: its first line names the culprit, and the rest is still shown.
import t from 'tap'
import { lookOnce } from '../../src/cli/status.ts'
import { loadConfig } from '../../src/config.ts'
import type { Status } from '../../src/operations/report.ts'
import { millrace, startRole } from '../e2e/world.ts'
import { run } from './run.ts'
import { saysOver } from './says.ts'

const world = await millrace(t, { gateways: 1 })
await startRole(t, ['jobs'], world.env)
const config = loadConfig(world.env)

const says = saysOver(config)
const isWell = async (): Promise<string> => await says(/^All is well: 3 processes are ready\.\n/, 0)
const json = async (): Promise<Status> => await lookOnce(config)

await isWell()

t.test('Redis is killed, then frozen', async () => {
  await world.redisServer.kill()
  await says(/^Redis at redis:\/\/127\.0\.0\.1:\d+ does not answer: connect ECONNREFUSED[^\n]*\n/, 2)
  await world.redisServer.restart()
  await isWell()
  world.redisServer.freeze()
  await says(/^Redis at redis:\/\/127\.0\.0\.1:\d+ does not answer: /, 2)
  world.redisServer.thaw()
  await isWell()
})

t.test('Postgres is killed, then frozen, then neither store answers', async t => {
  await world.postgres.kill()
  await says(/^Postgres at postgres:\/\/127\.0\.0\.1:\d+ does not answer: [^\n]*ECONNREFUSED[^\n]*\n[^]*projector on \S+ [^\n]* is not ready/, 2) // who suffers by it comes behind
  t.match(await json(), { ok: false, projections: null, parked: null, jobs: null, postgres: { reason: String } })
  await world.postgres.restart()
  await isWell()
  world.postgres.freeze()
  await says(/^Postgres at postgres:\/\/127\.0\.0\.1:\d+ does not answer: /, 2)
  await world.redisServer.kill()
  await says(/^Redis at [^\n]*\nPostgres at /, 1)
  t.match(await run(world.env, 'status'), { code: 1, out: /^Redis at / }, 'as a command')
  world.postgres.thaw()
  await world.redisServer.restart()
  await isWell()
})
