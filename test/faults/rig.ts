// The machine under test: a Redis, a Postgres, two gateways and two projectors, and a proxy in front of each of their
// connections. It lasts for many seeds: what a seed broke is mended by `heal`, which also says what broke by itself.
import { setTimeout as sleep } from 'node:timers/promises'
import { createGroups } from '../../src/log/groups.ts'
import { createKeys } from '../../src/log/keys.ts'
import { createMarkStreams } from '../../src/log/mark-streams.ts'
import { createPeopleKeys } from '../../src/log/people-keys.ts'
import { createRedisLog } from '../../src/log/redis-log.ts'
import { connectRedis } from '../../src/log/redis.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { keepCompiled } from '../dev/compiled.ts'
import { createScene, environment, openServers, startRole, type Role, type Teardown } from '../e2e/world.ts'
import { until } from '../until.ts'
import { createMasters, MASTER_ARGS, startAgain } from './masters.ts'
import { startProxy, type Proxy } from './proxy.ts'
import { GATEWAYS, isLoss, LINKS, PROJECTORS, type Fault, type Loss, type Plan, type Step } from './schedule.ts'

/** A connection to Postgres that says nothing is given up after this time: 35 s are longer than a run. */
const POSTGRES_SILENT_MS = '1500'
const HEAL_MS = 8000
const SLOW_MS = 3000
/** How Redis keeps what is archived: as it comes by default, or as little of it and as briefly as can be. */
const KEEPS = { HOT_EVENTS: '1000', HOT_S: '900', EVICT_S: '86400' }
const TRIMS = { HOT_EVENTS: '20', HOT_S: '0', EVICT_S: '1' }

export type Rig = Awaited<ReturnType<typeof openRig>>
export type Scene = ReturnType<typeof createScene>

export async function openRig (t: Teardown, { logLevel = 'warn' } = {}) {
  await keepCompiled()
  const servers = await openServers(t, { redisArgs: MASTER_ARGS })
  const { postgres, store } = servers
  const links = new Map<string, Proxy>()
  const roles = new Map<string, Role>()
  const environments: Array<Record<string, string>> = []
  let trims = false

  // The tests' own way to Redis, which the nemesis leaves alone.
  const own = await startProxy(() => masters.current)
  t.teardown(async () => { await own.close() })
  const masters = createMasters(t, servers.redisServer, stays => {
    own.cut()
    for (const [name, proxy] of links) if (name.endsWith('–Redis') && !stays.includes(name)) proxy.cut()
  })
  const logger = createLogger({ level: 'silent', role: 'test' })
  const ownUrl = `redis://127.0.0.1:${own.port}`
  const redis = await connectRedis(ownUrl, 'test', logger)
  t.teardown(() => { redis.disconnect() })
  const common: Record<string, string> = { ...environment(servers), LOG_LEVEL: logLevel, HEARTBEAT_MS: '1500', OUTBOX_BYTES_MAX: '65536' }
  const keys = createKeys(Number(common.PARTITIONS))
  const log = createRedisLog({ redis, keys, log: logger })

  async function link (name: string, target: () => { port: number }): Promise<number> {
    if (!LINKS.includes(name)) throw new Error(`the nemesis knows no ${name}`)
    const proxy = await startProxy(target)
    links.set(name, proxy)
    t.teardown(async () => { await proxy.close() })
    return proxy.port
  }

  async function open (kind: 'gateway' | 'projector', n: number): Promise<void> {
    const name = `${kind} ${n}`
    const redisUrl = new URL(servers.redisUrl)
    redisUrl.port = String(await link(`${name}–Redis`, () => masters.targetOf(`${name}–Redis`)))
    const databaseUrl = new URL(servers.databaseUrl)
    databaseUrl.port = String(await link(`${name}–Postgres`, () => postgres))
    databaseUrl.searchParams.set('query_timeout', POSTGRES_SILENT_MS)
    const env = { ...common, ...KEEPS, REDIS_URL: redisUrl.href, DATABASE_URL: databaseUrl.href }
    environments.push(env)
    const role = await startRole(t, [kind], env)
    roles.set(name, role)
    if (kind === 'gateway') await link(`clients–${name}`, () => ({ port: Number(new URL(role.url).port) }))
  }
  await Promise.all([
    ...Array.from({ length: GATEWAYS }, async (_, n) => { await open('gateway', n) }),
    ...Array.from({ length: PROJECTORS }, async (_, n) => { await open('projector', n) }),
  ])

  const slow: string[] = [] // starts of this run that took long: a machine that is too busy, or something that hangs

  /** Starts what was ended, as a supervisor does: again and again, since it may find its servers away. */
  async function supervise (name: string, role: Role): Promise<void> {
    const began = Date.now()
    const note = setTimeout(() => { slow.push(`${new Date().toISOString()} ${name} has been starting for ${SLOW_MS} ms`) }, SLOW_MS)
    while (!role.running) {
      try {
        await role.restart()
      } catch (error) {
        if (Date.now() > began + HEAL_MS) throw error
        await sleep(50)
      }
    }
    clearTimeout(note)
  }

  const processes = new Map<string, { kill: () => Promise<void>, freeze: () => void, thaw: () => void, start: () => Promise<void>, restart: () => Promise<void> }>([
    ...[...roles].map(([name, role]) => [name, {
      kill: role.kill,
      freeze () { role.signal('SIGSTOP') },
      thaw () { role.signal('SIGCONT') },
      start: async () => { await supervise(name, role) },
      async restart () {
        await role.stop()
        await supervise(name, role)
      },
    }] as const),
    ...Object.entries({ Redis: () => masters.current, Postgres: () => postgres }).map(([name, server]) => [name, {
      kill: async () => { await server().kill() },
      freeze () { server().freeze() },
      thaw () { server().thaw() },
      start: async () => { await startAgain(server()) },
      restart: async () => { await startAgain(server()) },
    }] as const),
  ])

  /** Ready for a seed: processes are set up as it wants them, and what its nemesis needs is there. */
  async function prepare ({ steps, trims: wanted }: Plan): Promise<void> {
    const standsBy = steps.some(({ fault }) => fault === 'fail over' || fault === 'wake') ? masters.standBy() : undefined
    if (trims !== wanted) {
      trims = wanted
      for (const env of environments) Object.assign(env, trims ? TRIMS : KEEPS)
      await Promise.all([...roles].map(async ([name, role]) => {
        await role.stop()
        await supervise(name, role)
      }))
    }
    await standsBy
  }

  /** Does a step and undoes it. Resolves when it is undone. @param beforeLoss is called right before Redis loses something */
  async function inflict (step: Step, beforeLoss: (loss: Loss) => Promise<void>): Promise<void> {
    // One after the other on the same part: when the machine is slow, the one before may not be undone yet.
    const mine = (underWay.get(step.on) ?? Promise.resolve()).then(async () => { await inflictNow(step, beforeLoss) })
    underWay.set(step.on, mine.catch(() => {}))
    await mine
  }
  const underWay = new Map<string, Promise<void>>()

  async function inflictNow ({ fault, on, forMs, stays }: Step, beforeLoss: (loss: Loss) => Promise<void>): Promise<void> {
    if (isLoss(fault)) {
      const staying = stays === undefined ? [] : [`gateway ${stays}–Redis`, `projector ${stays}–Redis`]
      return await masters.lose(fault, forMs, staying, async () => { await beforeLoss(fault) })
    }
    const proxy = links.get(on)
    const keepsAlive = on.endsWith('Postgres')
    const process = processes.get(on)
    const doAndUndo: Record<Exclude<Fault, Loss>, [() => unknown, () => unknown]> = {
      kill: [async () => await process!.kill(), async () => { await process!.start() }],
      freeze: [() => { process!.freeze() }, () => { process!.thaw() }],
      restart: [async () => { await process!.restart() }, () => {}],
      cut: [() => { proxy!.cut() }, () => {}],
      'half-open': [() => { proxy!.halfOpen() }, () => { proxy!.heal({ keepsAlive }) }],
      swallow: [() => { proxy!.swallow() }, () => { proxy!.heal() }],
      hold: [() => { proxy!.hold() }, () => { proxy!.release() }],
      refuse: [() => { proxy!.refuse() }, () => { proxy!.admit() }],
    }
    const [begin, end] = doAndUndo[fault]
    await begin()
    await sleep(forMs)
    await end()
  }

  /** All is well again: everything runs and answers. Returns what went wrong by itself. */
  async function heal (): Promise<string[]> {
    for (const { thaw } of processes.values()) thaw()
    for (const proxy of links.values()) proxy.heal()
    await until(async () => await redis.ping().then(() => true, () => false), { timeoutMs: HEAL_MS, what: 'Redis' })
    await until(async () => await store.query('SELECT 1').then(() => true, () => false), { timeoutMs: HEAL_MS, what: 'Postgres' })
    const died = [...roles.values()].flatMap(({ died }) => died ?? [])
    await Promise.all([...roles].map(async ([name, role]) => { await supervise(name, role) }))
    return died
  }

  /** Nothing of one run reaches the next: what the tests' own HTTP keeps open would. */
  async function forget (): Promise<void> {
    for (const [name, proxy] of links) if (name.startsWith('clients')) proxy.cut()
    await sleep(50) // the resets have arrived
  }

  const peopleKeys = createPeopleKeys(keys)
  const markStreams = createMarkStreams({ redis, peopleKeys })

  return {
    /** For a process of the tests' own that works on the same servers, by ways that the nemesis leaves alone. */
    environment: { ...common, REDIS_URL: ownUrl },
    groups: createGroups({ redis, keys }),
    logger,
    /** Partitions with marks that are not in Postgres yet. */
    marksWaiting: async (): Promise<number> => (await markStreams.read(Array.from({ length: keys.partitions }, (_, p) => p), 1)).size,
    prepare,
    inflict,
    heal,
    forget,
    store,
    log,
    /** Rooms, users, clients and a checker of their own. Clients connect through the proxies. */
    scene (of: Teardown): Scene {
      slow.length = 0
      return createScene(of, { store, log, urlOf: n => `http://127.0.0.1:${links.get(`clients–gateway ${n % GATEWAYS}`)!.port}` })
    },
    /** The last lines that each process wrote to standard error. */
    tails: (lines: number): string[] => [...slow, ...[...roles].map(([name, role]) => `── ${name}\n${role.output().trimEnd().split('\n').slice(-lines).join('\n')}`)],
  }
}

/** A teardown of one's own: what was opened last ends first. */
export function createTeardown (): Teardown & { end: () => Promise<void> } {
  const undo: Array<() => unknown> = []
  return {
    teardown (fn) { undo.push(fn) },
    async end () { for (let fn = undo.pop(); fn !== undefined; fn = undo.pop()) await fn() },
  }
}
