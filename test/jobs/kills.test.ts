// The role `jobs` as a process that is killed: nothing that was due is lost, and what was on its way is sent once more at most.
import t from 'tap'
import { startRole, environment } from '../e2e/world.ts'
import { until } from '../until.ts'
import { ENV, jobsWorld, receiver } from './stand.ts'

const world = await jobsWorld(t)
const { person } = world
const env = { ...environment(world), ...ENV }

t.test('killed while it sends, while it decides, and while nobody is there', async t => {
  const service = await receiver(t, () => undefined) // the first is never answered
  const [ann, bob] = [await person(), await person()]
  const phone = await bob.subscribe(`${service.url}/bob`)
  await bob.webhook({ url: `${service.url}/hook` })
  const rooms: string[] = []
  const say = async (text: string): Promise<void> => {
    const room = await world.room(ann.token)
    rooms.push(room)
    await bob.join(room)
    await ann.say(room, text)
  }
  await say('before anybody was there')
  await world.projected()
  const role = await startRole(t, ['jobs'], env)
  await until(() => service.received.length === 2, { what: 'a push and a webhook to be on their way' })
  await say('while it sends')
  await role.kill()
  service.answer(() => ({ status: 201 }))
  await say('while nobody is there')
  await world.projected()
  await role.restart()
  await until(async () => {
    const all = await world.notifications()
    return all.length === 6 && all.every(({ state }) => state === 'sent')
  }, { timeoutMs: 90_000, everyMs: 200, what: 'all to be sent' })

  const pushes = service.received.filter(({ path }) => path === '/bob').map(push => phone.decrypt(push).room_id as string)
  const hooks = service.received.filter(({ path }) => path === '/hook')
  for (const told of [pushes, hooks.map(({ body }) => JSON.parse(body.toString()).data.room_id as string)]) {
    t.same(rooms.map(room => told.filter(one => one === room).length), [2, 1, 1], 'the one that was on its way twice')
  }
  const ids = hooks.map(({ headers }) => headers['webhook-id'])
  t.equal(new Set(ids).size, 3, 'under the same ID')
  t.equal(ids.length, 4)
  t.equal(await role.stop(), 0)
})
