import t from 'tap'
import { randomUUID } from 'node:crypto'
import { describeError } from '../../src/telemetry/logging.ts'
import { millrace } from '../e2e/world.ts'
import { until } from '../until.ts'

const CONTENT = 'the very secret plan'
const PASSWORD = 'correct horse battery'
const WRONG = 'a wrong password of mine'

t.test('of a whole run with failures, at the finest level, no line has a token, a password or what was said in it', async t => {
  const world = await millrace(t, { gateways: 1, env: { LOG_LEVEL: 'trace' } })
  const [gateway, projector] = [world.gateways[0]!, world.projectors[0]!]
  const name = `u${randomUUID().slice(0, 8)}`
  const ada = await world.api(0).signup(name, PASSWORD)
  const secrets = [CONTENT, PASSWORD, WRONG, ada.access_token, ada.refresh_token]

  t.equal((await world.api(0).post('/auth/login', { username: name, password: WRONG })).status, 401)
  t.equal((await world.api(0).post('/auth/refresh', { refresh_token: `${ada.refresh_token}x` })).status, 401)
  const { body: { ticket } } = await world.api(0).post('/auth/ws-ticket', {}, ada.access_token)
  secrets.push(ticket)
  const byQuery = await world.connect(0, ada.access_token, { via: 'query' })
  await byQuery.subscribe('lobby')
  await byQuery.message('lobby', CONTENT)
  byQuery.raw(`{"type":"message","content":"${CONTENT}","token":"${ada.access_token}"`)
  byQuery.raw(JSON.stringify({ type: 'message', room_id: 'lobby', content: [CONTENT] }))
  await world.api(0).post('/rooms/lobby/messages', { content: CONTENT, nonsense: PASSWORD }, ada.access_token)
  await world.api(0).get(`/nothing?token=${ada.access_token}&q=${encodeURIComponent(CONTENT)}`, ada.access_token)

  // Postgres refuses a row and says which, Redis refuses a command and hangs it on its error.
  await world.store.query('ALTER TABLE search_messages RENAME TO away')
  await world.store.query("ALTER TABLE messages ADD CONSTRAINT nothing CHECK (content NOT LIKE '%plan%') NOT VALID")
  const room = await world.room(ada.access_token)
  const client = await world.connect(0, ada.access_token)
  await client.subscribe(room)
  await client.message(room, CONTENT)
  await until(async () => (await world.store.query('SELECT FROM parked_rooms')).rowCount! > 0, { what: 'the room to be parked' })
  await world.redis.set('{x}:nothing', '1')
  await world.redisServer.restart({ args: ['--appendonly', 'yes', '--maxmemory', '1mb', '--maxmemory-policy', 'noeviction'] })
  await client.message(room, CONTENT).catch(() => {})
  await world.redisServer.restart({ args: ['--appendonly', 'yes'] })

  for (const [what, role] of [['gateway', gateway], ['projector', projector]] as const) {
    const output = role.output()
    t.ok(output.length > 100, `the ${what} has spoken`)
    for (const secret of secrets) t.notOk(output.includes(secret), `${what}: ${secret.slice(0, 8)}…`)
    for (const line of output.trim().split('\n').slice(1)) t.ok(isJson(line), `one JSON line each: ${line.slice(0, 100)}`)
  }
  t.match(projector.output(), /its room is parked/)
})

t.test('of an error the text, the code, the stack and the causes are written, and nothing that hangs on it', async t => {
  const error = Object.assign(new Error('no', { cause: Object.assign(new TypeError('why'), { args: [CONTENT] }) }), { code: '23514', detail: `Failing row contains (${CONTENT})`, command: { name: 'evalsha', args: [CONTENT] } })
  const described = describeError(error) as Record<string, unknown>
  t.match(described, { type: 'Error', message: 'no', code: '23514', cause: { type: 'TypeError', message: 'why' } })
  t.match(described.stack, /logging\.test\.ts/)
  t.notMatch(JSON.stringify(described), /secret/)
})

function isJson (line: string): boolean {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}
