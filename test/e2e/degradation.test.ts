// What still works while a part is down, row by row as the README's table says it, with real kills; and that it heals by itself. In the
// end the checker finds that nothing was lost or doubled by any of it.
import t, { type Test } from 'tap'
import { connect } from '../../src/client/client.ts'
import { freePort } from '../../src/dev/ports.ts'
import type { Answer } from '../client.ts'
import { http } from '../client.ts'
import { until } from '../until.ts'
import { millrace, startRole } from './world.ts'

const HEARTBEAT_MS = 1000
/** Newest events of a room that stay in Redis: few, so that older ones are in the archive only. */
const HOT_EVENTS = 20
const PASSWORD = 'correct horse battery'

async function open (t: Test) {
  const world = await millrace(t, { projectors: 0, env: { HEARTBEAT_MS: String(HEARTBEAT_MS), HOT_EVENTS: String(HOT_EVENTS), HOT_EVENTS_MAX: String(HOT_EVENTS), HOT_S: '0' } })
  const startAlone = async (name: string) => {
    const port = await freePort()
    const role = await startRole(t, [name], { ...world.env, OPS_PORT: String(port) })
    return { role, ready: async () => await readiness(`http://127.0.0.1:${port}`) }
  }
  const [jobs, ...projectors] = await Promise.all(['jobs', 'projector', 'projector'].map(startAlone))
  const ada = await world.signup()
  const bob = await world.signup()
  const room = await world.room(ada.access_token)
  await world.api(0).post(`/rooms/${room}/join`, {}, bob.access_token)

  /** Every process says that it is ready, and what was said is projected. */
  async function well (): Promise<void> {
    await says(200, 200, 200, 200, 200)
    await world.projected()
  }
  /** Of both gateways, both projectors, the jobs. */
  async function ready (): Promise<number[]> {
    return [...await Promise.all(world.gateways.map(async ({ url }) => await readiness(url))), ...await Promise.all([...projectors, jobs!].map(async each => await each.ready()))]
  }
  /** Waits for these answers. */
  async function says (...expected: number[]): Promise<void> {
    let last = ''
    await until(async () => (last = (await ready()).join()) === expected.join()).catch(() => { throw new Error(`/readyz says ${last}, not ${expected.join()}`) })
  }
  await well()
  return { ...world, projectors, jobs: jobs!, ada, bob, room, well, says }
}

/** Status of /readyz; 0 where nobody answers. */
async function readiness (url: string): Promise<number> {
  return await http(url, { described: false }).get('/readyz').then(({ status }) => status, () => 0)
}

function isUnavailable (t: Test, { status, headers, body }: Answer, what: string): void {
  t.match({ status, code: body.code }, { status: 503, code: 'unavailable' }, `${what}: ${JSON.stringify(body).slice(0, 200)}`)
  t.match(headers.get('retry-after'), /^\d+$/, `${what} says when to come back`)
}

t.test('the table of what still works', async t => {
  const world = await open(t)
  const { ada, bob, room, well, says } = world
  const api = world.api(1)
  const path = `/rooms/${room}/messages`
  let line = 0
  const say = async (client: Awaited<ReturnType<typeof world.connect>>): Promise<string> => {
    const content = `line ${++line}`
    await client.message(room, content)
    return content
  }

  await t.test('a gateway is down: its clients resume elsewhere; projectors and the other gateway do not mind', async t => {
    const recorder = world.subscriber('ada, who loses her gateway')
    const lost = await world.connect(0, ada.access_token, { as: recorder, resume: { rooms: { [room]: { seq: 0 } } } })
    await lost.next(({ type }) => type === 'live')
    const bobs = await world.connect(1, bob.access_token)
    for (let i = 0; i < 3; i++) await say(bobs)
    await world.gateways[0]!.kill()
    await lost.closed
    const missed = [await say(bobs), await say(bobs)]
    await says(0, 200, 200, 200, 200)
    const back = await world.connect(1, ada.access_token, { as: recorder, resume: { rooms: { [room]: lost.position(room)! } } })
    await back.next(({ type }) => type === 'live')
    t.same(back.events(room).map(({ content }) => content).slice(-2), missed)
    await world.gateways[1]!.kill()
    await says(0, 0, 200, 200, 200) // projectors and jobs are ready without any gateway
    await Promise.all(world.gateways.map(async gateway => { await gateway.restart() }))
    recorder.gone()
    await well()
  })

  await t.test('all projectors are down: chat, live delivery, resume from the hot window, and all history', async t => {
    const adas = await world.connect(0, ada.access_token)
    const bobs = await world.connect(1, bob.access_token)
    await adas.subscribe(room)
    const projected = await say(bobs)
    await well()
    for (const { role } of world.projectors) await role.kill()
    await says(200, 200, 0, 0, 200)
    const position = adas.position(room)!
    const said = [await say(bobs), await say(adas), await say(bobs)]
    for (const content of said) await adas.next(event => event.content === content)
    const late = await world.connect(1, ada.access_token, { resume: { rooms: { [room]: position } } })
    await late.next(({ type }) => type === 'live')
    t.same(late.events(room).slice(-3).map(({ content }) => content), said)
    const { status, body } = await api.get(path, ada.access_token)
    t.equal(status, 200)
    t.same(body.items.slice(-4).map(({ content }: { content: string }) => content), [projected, ...said], 'what is projected and what is hot is one page')
    t.equal((await api.get(`${path}?before=5`, ada.access_token)).status, 200)
    t.equal((await api.get('/rooms', ada.access_token)).status, 200)
    await api.post('/auth/login', { username: ada.user.username, password: PASSWORD }).then(({ status }) => { t.equal(status, 200) })
    await Promise.all(world.projectors.map(async ({ role }) => { await role.restart() }))
    await well()
    for (const client of [adas, bobs, late]) await client.close()
  })

  await t.test('Postgres is down: chat among those connected, resume from the hot window; log-in, search and old history are unavailable', async t => {
    const adas = await world.connect(0, ada.access_token)
    const bobs = await world.connect(1, bob.access_token)
    await adas.subscribe(room)
    for (let i = 0; i < 2 * HOT_EVENTS; i++) await say(bobs)
    await well()
    await until(async () => (await world.log.read(room, 0, 1))[0]!.seq > 5, { timeoutMs: 60_000, what: 'the stream to be trimmed' })
    const position = adas.position(room)!
    await world.postgres.kill()
    const said = [await say(bobs), await say(adas), await say(bobs)]
    for (const content of said) await adas.next(event => event.content === content)
    await says(200, 200, 503, 503, 503) // gateways do not mind

    const late = await world.connect(1, ada.access_token, { resume: { rooms: { [room]: position } } }) // her token is proof enough
    await late.next(({ type }) => type === 'live')
    t.same(late.events(room).slice(-3).map(({ content }) => content), said, 'resumed from the hot window')
    t.match(await api.get(`/rooms/${room}/events?after=${position.seq}`, ada.access_token), { status: 200, body: { items: said.map(content => ({ content })) } })

    isUnavailable(t, await api.post('/auth/login', { username: ada.user.username, password: PASSWORD }), 'a log-in')
    isUnavailable(t, await api.get(`/rooms/${room}/search?q=line`, ada.access_token), 'a search')
    isUnavailable(t, await api.get('/search?q=line', ada.access_token), 'a search everywhere')
    isUnavailable(t, await api.get(`${path}?before=5`, ada.access_token), 'old history')
    isUnavailable(t, await api.get(`/rooms/${room}/events?after=0`, ada.access_token), 'the old log')
    const old = await world.connect(0, ada.access_token)
    old.send({ type: 'subscribe', room_id: room, after: { seq: 0 } })
    t.match(await old.next(({ type }) => type === 'error'), { code: 'unavailable', room_id: room }, 'a resume from the archive is told to try again')

    await world.postgres.restart()
    await well()
    t.equal((await api.post('/auth/login', { username: ada.user.username, password: PASSWORD })).status, 200)
    const whole = await world.connect(1, ada.access_token, { resume: { rooms: { [room]: { seq: 0 } } } })
    await whole.next(({ type }) => type === 'live')
    for (const client of [adas, bobs, late, old, whole]) await client.close()
  })

  await t.test('Redis is down: log-in and tokens work, sockets stay, all else is unavailable; what a client sends arrives after it', async t => {
    const bobs = await world.connect(1, bob.access_token)
    await bobs.subscribe(room)
    const client = connect({ url: world.urlOf(0), token: ada.access_token, backOff: { baseMs: 50, capMs: 300 } })
    t.teardown(async () => { await client.close() })
    await client.room(room).send('before')
    const { refresh_token } = ada
    await world.redisServer.kill()
    await says(503, 503, 503, 503, 200) // all whose work is the log

    const sent = client.room(room).send('sent while Redis was down')
    const written = Promise.all([ // tried for 5 s before the answer
      api.post(path, { content: 'lost?' }, bob.access_token),
      bobs.request({ type: 'message', room_id: room, content: 'lost?' }, 15_000),
    ])
    const logIn = await api.post('/auth/login', { username: ada.user.username, password: PASSWORD })
    t.equal(logIn.status, 200, 'a log-in')
    t.match(await api.post('/auth/refresh', { refresh_token }), { status: 200, body: { access_token: String } }, 'a new token for an old one')
    for (const each of [path, `/rooms/${room}`, '/rooms', `/rooms/${room}/events?after=0`, `/rooms/${room}/search?q=line`]) isUnavailable(t, await api.get(each, ada.access_token), `GET ${each}`)
    isUnavailable(t, await api.post('/auth/ws-ticket', {}, ada.access_token), 'a ticket')
    const [posted, framed] = await written
    isUnavailable(t, posted, 'POST a message')
    t.match(framed, { type: 'error', code: 'unavailable', retry_after_ms: Number }, 'a frame')
    const beats = bobs.frames.filter(({ type }) => type === 'heartbeat').length
    await until(() => bobs.frames.filter(({ type }) => type === 'heartbeat').length > beats + 1, { what: 'a socket that goes on living' })
    t.match(await bobs.request({ type: 'ping' }), { type: 'pong' })

    await world.redisServer.restart()
    t.match(await sent, { seq: Number })
    await bobs.next(({ content }) => content === 'sent while Redis was down')
    t.equal(bobs.socket.readyState, bobs.socket.OPEN, 'on the socket that it had all along')
    t.match(bobs.frames.filter(({ content }) => content === 'sent while Redis was down'), { length: 1 })
    await well()
    await bobs.close()
  })

  t.same((await world.judge()).problems, [])
  for (const role of [...world.gateways, ...world.projectors.map(({ role }) => role), world.jobs.role]) t.equal(role.died, undefined)
})
