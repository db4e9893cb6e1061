/**
 * Stands in for src/main.ts in the tests of `npm start`: keeps the contract of a child (src/dev/child.ts) and does nothing else. The
 * gateway answers every request with what it was given. On its way out it uses Redis and Postgres once more and leaves a file
 * `drained-<role>` in DATA_DIR, which proves that both were still there. FAIL=<role> ends that role at its start; DEAF=<role> never drains.
 */
import { appendFileSync, existsSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { askPostgres } from '../../src/dev/postgres-server.ts'
import { askRedis } from '../../src/dev/redis-server.ts'

const role = process.argv.slice(2).join('+')
const { DATA_DIR = '', HOST, PORT, REDIS_URL = '', DATABASE_URL = '', FAIL, FAIL_AGAIN, DEAF, DRAIN_FOR_MS = '50' } = process.env
appendFileSync(join(DATA_DIR, 'started'), `${role} ${process.pid}\n`)

if (FAIL === role || (FAIL_AGAIN === role && existsSync(join(DATA_DIR, `ready-${role}`)))) {
  console.error(`${role}: this is why it failed`)
  process.exit(1)
}
if (role === 'migrate') {
  const { error } = await askPostgres(DATABASE_URL, 'CREATE TABLE IF NOT EXISTS starts (at timestamptz DEFAULT now()); INSERT INTO starts DEFAULT VALUES')
  if (error !== undefined) console.error(`migrate: ${error}`)
  process.exit(error === undefined ? 0 : 1)
}

const server = createServer((_request, response) => {
  response.end(JSON.stringify({ pid: process.pid, args: process.argv.slice(2), env: process.env }))
})
await new Promise<void>(resolve => {
  server.once('error', error => { console.error(`${role}: ${error.message}`); process.exit(1) })
  if (role.startsWith('gateway')) server.listen(Number(PORT), HOST, resolve)
  else server.listen(0, '127.0.0.1', resolve)
})
let draining = false
const drain = async (): Promise<void> => {
  if (draining || DEAF === role) return
  draining = true
  await sleep(Number(DRAIN_FOR_MS))
  const [redis, postgres] = await Promise.all([askRedis(REDIS_URL), askPostgres(DATABASE_URL, 'SELECT 1')])
  writeFileSync(join(DATA_DIR, `drained-${role}`), redis.error ?? postgres.error ?? 'with both servers')
  process.exit(0)
}
process.on('SIGTERM', () => { void drain() })
process.on('disconnect', () => { void drain() })
if (process.send !== undefined && !process.connected) void drain() // it was gone before we listened
process.on('SIGINT', () => { appendFileSync(join(DATA_DIR, 'interrupted'), `${role}\n`) }) // must never reach it
writeFileSync(join(DATA_DIR, `ready-${role}`), '')
process.send?.({ ready: true, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
