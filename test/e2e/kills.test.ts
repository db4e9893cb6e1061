// Every part is killed with SIGKILL while people talk; in the end the checker finds what was acked in the log, in the archive,
// in the history and with every listener: once, in order.
import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { startPerson } from './person.ts'
import { millrace } from './world.ts'

const kills: Array<[string, (world: Awaited<ReturnType<typeof millrace>>) => Promise<void>]> = [
  ['a gateway', async world => { await world.gateways[0]!.kill(); await sleep(300); await world.gateways[0]!.restart() }],
  ['the projector', async world => { await world.projectors[0]!.kill(); await sleep(300); await world.projectors[0]!.restart() }],
  ['Redis', async world => { await world.redisServer.kill(); await sleep(300); await world.redisServer.restart() }],
  ['Postgres', async world => { await world.postgres.kill(); await sleep(300); await world.postgres.restart() }],
  ['everything', async world => {
    await Promise.all([...world.gateways, ...world.projectors, world.redisServer, world.postgres].map(async part => { await part.kill() }))
    await Promise.all([world.redisServer.restart(), world.postgres.restart()])
    await Promise.all([...world.gateways, ...world.projectors].map(async part => { await part.restart() }))
  }],
]

t.test('while people talk, each part is killed, and then all of them [G1 G2 G3 G4 G6]', async t => {
  const world = await millrace(t)
  const users = await Promise.all(Array.from({ length: 6 }, async () => await world.signup()))
  const rooms = await Promise.all([0, 1].map(async () => await world.room(users[0]!.access_token)))
  for (const user of users) for (const room of rooms) await world.api(0).post(`/rooms/${room}/join`, {}, user.access_token)
  const people = users.map(({ access_token }, i) => startPerson(world, { name: `person ${i}`, token: access_token, room: rooms[i % 2]!, messages: 150, pauseMs: 20 }))
  for (const [name, kill] of kills) {
    await sleep(400)
    t.comment(`killing ${name}`)
    await kill(world)
  }
  await Promise.all(people.map(async person => { await person.spoken }))
  const { heads } = await world.log.heads(rooms)
  await Promise.all(people.map(async (person, i) => { await person.heard(heads.get(rooms[i % 2]!)!.seq) }))
  const judgement = await world.judge()
  t.same(judgement.problems, [])
  t.ok(people.every(({ reconnects }) => reconnects() > 0), 'everyone was cut off')
  t.comment(JSON.stringify(judgement.counted))
  await Promise.all(people.map(async person => { await person.leave() }))
})
