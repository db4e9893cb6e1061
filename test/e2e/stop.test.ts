import t from 'tap'
import { until } from '../until.ts'
import { millrace } from './world.ts'

t.test('a gateway that is told to stop says bye, finishes what is under way, exits 0; its clients resume elsewhere', async t => {
  const world = await millrace(t)
  const ada = await world.signup()
  const room = await world.room(ada.access_token)
  const reader = world.subscriber('reader')
  const clients = await Promise.all(Array.from({ length: 20 }, async () => await world.connect(0, ada.access_token)))
  const watching = await world.connect(0, ada.access_token, { as: reader })
  await watching.subscribe(room)
  const deaf = await world.connect(0, ada.access_token)
  deaf.pause() // it never answers the close
  const sending = clients.map(async (client, i) => await client.message(room, `on the way ${i}`).catch((error: Error) => error))
  const stopped = world.gateways[0]!.stop()
  await Promise.all(sending)
  t.match(await watching.closed, { code: 4001 })
  t.match(watching.frames.find(({ type }) => type === 'bye'), { code: 4001, resume: true, retry_after_ms: Number })
  t.equal(await stopped, 0)
  const again = await world.connect(1, ada.access_token, { as: reader, resume: { rooms: { [room]: watching.position(room)! } } })
  await again.next(({ type }) => type === 'live')
  t.same((await world.judge()).problems, [])
})

t.test('a projector and a gateway without traffic stop at once, told twice', async t => {
  const world = await millrace(t, { gateways: 1 })
  for (const role of [...world.gateways, ...world.projectors]) {
    role.signal('SIGTERM')
    t.equal(await role.stop(), 0)
  }
})

t.test('/readyz says when the log cannot be reached, and when it can again', async t => {
  const world = await millrace(t, { gateways: 1, projectors: 0 })
  const ready = async (): Promise<number> => (await world.api(0).get('/readyz')).status
  await until(async () => await ready() === 200)
  await world.redisServer.kill()
  await until(async () => await ready() === 503)
  t.equal((await world.api(0).get('/healthz')).status, 200)
  t.match(await world.api(0).get('/ws'), { status: 426, body: { code: 'upgrade_required', status: 426 } })
  await world.redisServer.restart()
  await until(async () => await ready() === 200)
  await world.postgres.kill()
  t.equal(await ready(), 200, 'chat goes on without Postgres')
  await world.postgres.restart()
})
