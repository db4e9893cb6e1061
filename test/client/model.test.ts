// Clients that talk in two rooms over two gateways while fast-check breaks whatever can break: connections are cut, half-opened,
// swallowed and refused, frames are lost, gateways killed, tokens run out (each lives for 5 s), loops stop reading, pages are loaded anew.
// In the end every client has received exactly the log, each event once and in order, and every message sent is there once, in the order of its sender.
//
// CLIENT_MODEL_RUNS: how many runs (4 by default); CLIENT_MODEL_SEED: as a failed run names it.
import t from 'tap'
import fc from 'fast-check'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, isReset, memoryStore, type Client, type RoomEvent } from '../../src/client/client.ts'
import { millrace } from '../e2e/world.ts'
import { startProxy, type Proxy } from '../faults/proxy.ts'
import { until } from '../until.ts'

const RUNS = Number(process.env.CLIENT_MODEL_RUNS ?? 4)
const SEED = process.env.CLIENT_MODEL_SEED
const COMMANDS_MAX = 24
const TOKEN_S = 5
const LOSS = 0.1
const LOST = ['message', 'join', 'ack', 'sync', 'live']

t.test('whatever breaks, every client ends up with exactly the log, and every message is there once', { timeout: 60_000 + RUNS * 40_000 }, async t => {
  const world = await millrace(t, { env: { ACCESS_TOKEN_S: String(TOKEN_S), HEARTBEAT_MS: '1000' }, projectors: 1 })
  const names = ['ada', 'bob', 'cyd'].map(name => `${name}${process.pid}`)
  await Promise.all(names.map(async name => await world.signup(name)))
  const proxies = await Promise.all(names.map(async (_, i) => {
    const proxy = await startProxy(() => ({ port: Number(new URL(world.urlOf(i)).port) }))
    t.teardown(async () => { await proxy.close() })
    return proxy
  }))

  /** Somebody with a client: what they sent, and what they received over all their pages. */
  class Person {
    readonly sent = new Map<string, string[]>()
    readonly got = new Map<string, RoomEvent[]>()
    readonly problems: string[] = []
    readonly rooms: readonly string[]
    readonly nth: number
    readonly proxy: Proxy
    readonly #store = memoryStore()
    client!: Client
    isLossy = false
    reading: Promise<void> = Promise.resolve()
    #go = (): void => {}
    #loops: Array<Promise<void>> = []
    #token: { value: string, at: number } | undefined

    constructor (nth: number, rooms: readonly string[]) {
      this.nth = nth
      this.proxy = proxies[nth]!
      this.rooms = rooms
      for (const room of rooms) {
        this.sent.set(room, [])
        this.got.set(room, [])
      }
      this.open()
    }

    /** A token that is used to its end, as if nobody knew when that is: so 4100 comes, and not only renewals. The first person renews. */
    async token (): Promise<string> {
      if (this.nth === 0 || this.#token === undefined || Date.now() - this.#token.at >= TOKEN_S * 1000) {
        const { access_token } = await world.api(this.nth + 1).login(names[this.nth]!, 'correct horse battery').catch(async () => await world.api(this.nth).login(names[this.nth]!, 'correct horse battery'))
        this.#token = { value: access_token, at: Date.now() }
      }
      return this.#token.value
    }

    open (): void {
      const person = this
      class LossySocket extends WebSocket {
        override get onmessage () { return super.onmessage }
        override set onmessage (fn: any) {
          super.onmessage = fn === null ? null : event => { if (!person.isLossy || Math.random() > LOSS || !LOST.includes(JSON.parse(event.data).type)) fn(event) }
        }

        override send (data: any): void {
          if (!person.isLossy || Math.random() > LOSS || JSON.parse(data).type === 'hello') super.send(data)
        }
      }
      this.client = connect({ url: `http://127.0.0.1:${this.proxy.port}`, token: async () => await this.token(), store: this.#store, deviceId: 'device', WebSocket: LossySocket as never, backOff: { baseMs: 50, capMs: 500 } })
      this.client.on('error', error => { this.problems.push(String(error)) })
      this.client.on('refused', ({ error, frame }) => { this.problems.push(`refused ${error.code} ${JSON.stringify(frame)}`) })
      this.#loops = this.rooms.map(async (id, i) => {
        const room = this.client.room(id)
        const isFirst = this.got.get(id)!.length === 0
        if ((this.nth + i) % 2 === 0 && !isFirst) {
          room.on('event', event => { this.got.get(id)!.push(event) })
          room.on('reset', reset => { this.problems.push(`reset to ${reset.seq}: ${reset.reason}`) })
          return
        }
        for await (const item of room.events(isFirst ? { after: 0 } : {})) {
          if (isReset(item)) this.problems.push(`reset to ${item.seq}: ${item.reason}`)
          else this.got.get(id)!.push(item)
          await this.reading
        }
      })
    }

    say (room: string): void {
      const text = `${this.nth}:${this.sent.get(room)!.length}`
      this.sent.get(room)!.push(text)
      this.client.room(room).send(text).catch(error => { if (error.code !== 'closed') this.problems.push(`${text}: ${error.code}`) })
    }

    async reload (): Promise<void> {
      this.isReading(true)
      await sleep(20)
      await this.client.close()
      await Promise.all(this.#loops)
      this.open()
    }

    isReading (yes: boolean): void {
      this.#go()
      if (!yes) this.reading = new Promise(resolve => { this.#go = resolve })
      else this.reading = Promise.resolve()
    }
  }

  interface Real { readonly people: Person[], readonly rooms: string[], readonly restarts: Map<number, Promise<void>> }
  type Act = fc.AsyncCommand<object, Real>
  const act = (name: string, run: (real: Real) => unknown): Act => ({ check: () => true, run: async (_, real) => { await run(real) }, toString: () => name })

  const who = fc.nat({ max: names.length - 1 })
  const broken = (name: string, fault: (proxy: Proxy) => void) => who.map(n => act(`${name}(${n})`, ({ people }) => { fault(people[n]!.proxy) }))
  const say = fc.tuple(who, fc.nat({ max: 1 }), fc.integer({ min: 1, max: 30 })).map(([n, r, times]) => act(`say(${n}, ${r}, ${times})`, ({ people, rooms }) => { for (let i = 0; i < times; i++) people[n]!.say(rooms[r]!) }))
  const commands = fc.commands<object, Real, false>([
    say, say, say,
    fc.integer({ min: 20, max: 400 }).map(ms => act(`wait(${ms})`, async () => { await sleep(ms) })),
    fc.integer({ min: 20, max: 400 }).map(ms => act(`wait(${ms})`, async () => { await sleep(ms) })),
    broken('cut', proxy => { proxy.cut() }),
    broken('halfOpen', proxy => { proxy.halfOpen() }),
    broken('swallow', proxy => { proxy.swallow() }),
    broken('refuse', proxy => { proxy.refuse() }),
    broken('heal', proxy => { proxy.heal() }),
    fc.tuple(who, fc.boolean()).map(([n, on]) => act(`lossy(${n}, ${on})`, ({ people }) => { people[n]!.isLossy = on })),
    fc.tuple(who, fc.boolean()).map(([n, on]) => act(`reading(${n}, ${on})`, ({ people }) => { people[n]!.isReading(on) })),
    who.map(n => act(`reload(${n})`, async ({ people }) => { await people[n]!.reload() })),
    fc.nat({ max: 1 }).map(g => act(`kill(${g})`, ({ restarts }) => {
      if (!restarts.has(g)) restarts.set(g, world.gateways[g]!.kill().then(async () => { await world.gateways[g]!.restart() }).finally(() => { restarts.delete(g) }))
    })),
  ], { maxCommands: COMMANDS_MAX, size: 'max' })

  const seed = SEED === undefined ? Date.now() % 1_000_000 : Number(SEED)
  t.comment(`seed ${seed}`)
  await fc.assert(fc.asyncProperty(commands, async acts => {
    const [token, ...others] = await Promise.all(names.map(async (_, n) => await freshToken(n)))
    const rooms = await Promise.all([0, 1].map(async () => await again(async () => await world.room(token!))))
    for (const room of rooms) for (const other of others) await again(async () => await world.api(0).post(`/rooms/${room}/join`, {}, other))
    const real: Real = { people: names.map((_, n) => new Person(n, rooms)), rooms, restarts: new Map() }
    try {
      await fc.asyncModelRun(() => ({ model: {}, real }), acts)
      await end(real)
    } finally {
      for (const proxy of proxies) proxy.heal()
      await Promise.all([...real.restarts.values(), ...real.people.map(async ({ client }) => { await client.close() })])
    }
  }), { numRuns: RUNS, seed, endOnFailure: true })

  async function freshToken (n: number): Promise<string> {
    return (await again(async () => await world.api(0).login(names[n]!, 'correct horse battery'))).access_token
  }

  /** A kept connection to a gateway that was killed fails once. */
  async function again<T> (ask: () => Promise<T>): Promise<T> {
    return await ask().catch(async () => await ask())
  }

  /** Everything is mended, and everything is as it should be. */
  async function end ({ people, rooms, restarts }: Real): Promise<void> {
    await Promise.all(restarts.values())
    for (const person of people) {
      person.proxy.heal()
      person.isLossy = false
      person.isReading(true)
      person.proxy.cut() // what was lost on the way is found out now, and not by the time-out of an answer
    }
    const expected = people.reduce((sum, { sent }) => sum + [...sent.values()].flat().length, 0)
    await until(() => people.every(({ client: { state } }) => state.name === 'live' && state.queued === 0), { what: `all to be live with nothing queued; ${expected} messages` })
      .catch(error => { throw new Error(`${error.message}: ${JSON.stringify(people.map(({ client: { state }, problems }) => ({ state, problems })))}`) })
    for (const room of rooms) {
      const log = await world.logOf(room)
      const wanted = log.map(({ seq, event_id }) => `${seq} ${event_id}`)
      for (const { got, nth } of people) {
        const mine = got.get(room)!
        await until(() => mine.length >= log.length).catch(() => {})
        const differs = mine.findIndex(({ seq, event_id }, i) => `${seq} ${event_id}` !== wanted[i])
        if (differs >= 0 || mine.length !== log.length) throw new Error(`person ${nth} in room ${room} got ${mine.length} of ${log.length} events; at ${differs} ${JSON.stringify(mine[differs])} instead of ${wanted[differs]}; ${JSON.stringify(mine.map(({ seq }) => seq))}`)
      }
      const texts = people[0]!.got.get(room)!.flatMap(({ content }) => content ?? [])
      for (const { sent, nth } of people) t.same(texts.filter(text => text.startsWith(`${nth}:`)), sent.get(room), `what ${nth} sent, once and in order`)
    }
    for (const { problems, nth } of people) t.same(problems, [], `person ${nth} had no trouble`)
  }
})
