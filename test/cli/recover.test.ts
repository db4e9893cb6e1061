// Loss as operators meet it: Redis is gone, and `millrace recover` brings everything back; Postgres is older than Redis, and
// `millrace park skip` goes on behind the hole, of which whoever resumes across it is told [G8]. `millrace verify` says how things stand.
import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { createCold } from '../../src/log/cold.ts'
import { createKeys } from '../../src/log/keys.ts'
import { millrace } from '../e2e/world.ts'
import { olderBackup, wholeHistory } from '../projections/loss.ts'
import { until } from '../until.ts'

const MILLRACE = fileURLToPath(new URL('../../bin/millrace.js', import.meta.url))

async function run (world: { env: Record<string, string> }, ...args: string[]): Promise<{ code: number, out: string, err: string }> {
  const child = spawn(process.execPath, [MILLRACE, ...args], { env: { PATH: process.env.PATH, ...world.env } })
  const result = { out: '', err: '' }
  child.stdout.on('data', data => { result.out += String(data) })
  child.stderr.on('data', data => { result.err += String(data) })
  const [code] = await once(child, 'close') as [number]
  return { code, ...result }
}

t.test('after a total loss everything is back, by hand and at once', async t => {
  const world = await millrace(t, { gateways: 1 })
  const ada = await world.signup()
  const rooms = await Promise.all(Array.from({ length: 20 }, async () => await world.room(ada.access_token)))
  const client = await world.connect(0, ada.access_token)
  for (const room of rooms) await client.message(room, 'hello')
  await world.projected()
  t.match(await run(world, 'verify'), { code: 0, out: /events of \d+ rooms were checked: all is well\.\n$/ })
  const before = new Map(await Promise.all(rooms.map(async room => [room, await world.logOf(room)] as const)))
  for (const role of [...world.gateways, ...world.projectors]) await role.kill() // nobody is there to do it
  await world.redis.flushall()
  const lost = await run(world, 'verify', '--json')
  t.equal(lost.code, 2)
  const lines = lost.out.trim().split('\n').map(line => JSON.parse(line))
  t.ok(lines.filter(({ kind, text }) => kind === 'log' && text.startsWith('Redis does not have the room')).length >= 20)
  t.match(lines.at(-1), { ok: false, rooms: Number, events: Number })

  const recovered = await run(world, 'recover')
  t.match(recovered, { code: 0, out: /^Compared 2\d rooms: 2\d were lacking in Redis, whole or in part, and come back when they are needed, with \d+ events\.\n$/ })
  t.match(recovered.err, /rooms compared/)
  t.match(await run(world, 'recover'), { code: 0, out: /: 0 were lacking/ }, 'again: nothing to do')
  t.match(await run(world, 'verify'), { code: 0 })
  for (const role of [...world.gateways, ...world.projectors]) await role.restart()
  const again = await world.connect(0, ada.access_token)
  for (const room of rooms) t.match(await again.message(room, 'and on'), { seq: 3 })
  t.match(await again.message(LOBBY_ID, 'good morning'), { seq: 2 })
  for (const room of rooms) t.same((await world.logOf(room)).slice(0, 2), before.get(room))
  t.same((await world.judge()).problems, [])

  // What was set aside is found until somebody has seen to it, and says so.
  const [one, other] = rooms as [string, string]
  for (const room of [one, other]) await world.store.query('INSERT INTO events_parted (room_id, seq, chain, event_id, user_id, type, v, timestamp, data) SELECT room_id, seq + 100, chain, event_id, user_id, type, v, timestamp, data FROM events WHERE room_id = $1 AND seq <= 2', [room])
  t.match(await run(world, 'verify', '--room', one), { code: 2, out: /parted: room .* 2 events that do not stand, from seq 101 to 102/ })
  for (const args of [[], ['--reason', ' '], ['--room', 'lobby', '--reason', 'x']]) t.match(await run(world, 'verify', '--forget-parted', ...args), { code: 2, err: /Usage/ }, 'not without saying why')
  t.match(await run(world, 'verify', '--reason', 'x'), { code: 2, err: /Usage/ })
  t.match(await run(world, 'verify', '--forget-parted', '--room', one.toUpperCase(), '--reason', 'people were told'), { code: 0, out: `room ${one}: 2 events that do not stand, from seq 101 to 102, are forgotten\n` })
  t.match(await run(world, 'verify'), { code: 2, out: new RegExp(`parted: room ${other}`) }, 'the other room is still found')
  t.match(await run(world, 'verify', '--forget-parted', '--reason', 'so were they', '--json'), { code: 0, out: `${JSON.stringify({ room_id: other, events: 2, from_seq: 101, to_seq: 102 })}\n` })
  t.match(await run(world, 'verify', '--forget-parted', '--reason', 'again'), { code: 0, out: 'Nothing is set aside.\n' })
  t.match(await run(world, 'verify'), { code: 0 })
  t.match((await world.store.query("SELECT room_id, detail FROM operator_acts WHERE action = 'forget parted' ORDER BY at")).rows, [{ room_id: one, detail: { events: 2, from_seq: 101, to_seq: 102, reason: 'people were told' } }, { room_id: other, detail: { reason: 'so were they' } }])
  t.match(await run(world, 'recover', 'me'), { code: 2 })
  t.match(await run(world, 'verify', '--room', 'lobby'), { code: 2, err: /Usage/ })
})

t.test('a hole that nobody can fill is skipped by hand, and told to whoever resumes across it', async t => {
  const world = await millrace(t)
  const ada = await world.signup()
  const room = await world.room(ada.access_token)
  const client = await world.connect(0, ada.access_token)
  for (let i = 0; i < 40; i++) await client.message(room, `message ${i}`)
  await world.projected()
  await client.close()
  const log = await world.logOf(room)
  await world.projectors[0]!.kill()
  // A backup from when there were 20 events; of the other 21, Redis has the last ten.
  const { chain } = log[19]!
  await olderBackup(world, room, 20)
  await world.redis.xtrim(createKeys(16).log(room), 'MINID', '32-0')
  await world.projectors[0]!.restart()
  await until(async () => (await run(world, 'park', 'list')).out.includes('archive_v1'), { everyMs: 300, what: 'the hole to be found' })

  const at20 = { seq: 20, chain }
  const early = await world.connect(0, ada.access_token)
  t.match(await early.request({ type: 'subscribe', room_id: room, after: at20 }), { type: 'ack' })
  t.match(await early.next(frame => frame.type === 'error' || frame.type === 'live'), { type: 'error', code: 'unavailable' }, 'before it is skipped nobody is told a tale')
  await early.close()
  t.match(await run(world, 'park', 'skip', 'archive_v1', room), { code: 0, out: /^Skipped seq 21 to 31, and noted it; 10 events behind it were archived/ })
  t.match(await run(world, 'park', 'skip', 'archive_v1', room), { code: 1, err: /is not parked at a hole/ })
  t.match(await run(world, 'park', 'skip', 'history_v1', room), { code: 1, err: /is not parked in history_v1/ })
  await world.projected()

  for (const gateway of [0, 1]) {
    const late = await world.connect(gateway, ada.access_token)
    await late.subscribe(room, { seq: 0 })
    t.same(late.events(room).map(({ seq }) => seq), [...log.slice(0, 20), ...log.slice(31)].map(({ seq }) => seq))
    t.match(late.frames.filter(({ type }) => type === 'reset'), [{ reason: 'erased', seq: 31, chain: '0000000000000000' }], 'it is told what is gone')
    await late.close()
    const back = await world.connect(gateway, ada.access_token)
    await back.subscribe(room, { seq: 31, chain: '0000000000000000' })
    t.same(back.events(room).map(({ seq }) => seq), log.slice(31).map(({ seq }) => seq))
    t.same(back.frames.filter(({ type }) => type === 'reset'), [])
    await back.close()
  }
  // And when all of it is read from the archive.
  await world.redis.del(createKeys(16).deleted(room))
  t.equal(await createCold({ redis: world.redis, keys: createKeys(16) }).trim(room, log.at(-1)!, 42), 10)
  const cold = await world.connect(1, ada.access_token)
  await cold.subscribe(room, { seq: 15, chain: log[14]!.chain })
  t.same(cold.events(room).map(({ seq }) => seq), [...log.slice(15, 20), ...log.slice(31)].map(({ seq }) => seq))
  t.match(await run(world, 'verify', '--room', room), { code: 0, out: /skipped: room .*: seq 21 to 31 were skipped by hand/ })
  t.equal((await wholeHistory(world, room)).length, 30)
})
