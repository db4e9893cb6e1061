// The machine under test: a Redis that keeps its data, a Postgres, two gateways and two projectors, and a proxy in front of each
// of their connections. It lasts for many seeds: what a seed broke is mended by `heal`, which also says what broke by itself.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createScene, environment, MAIN, openServers, startRole, type Role, type Teardown } from '../e2e/world.ts'
import { until } from '../until.ts'
import { startProxy, type Proxy } from './proxy.ts'
import { GATEWAYS, LINKS, PROJECTORS, type Step } from './schedule.ts'

/** A connection to Postgres that says nothing is given up after this time: 35 s are longer than a run. */
const POSTGRES_SILENT_MS = '1500'
const HEAL_MS = 8000
const SLOW_MS = 3000

export type Rig = Awaited<ReturnType<typeof openRig>>
export type Scene = ReturnType<typeof createScene>

export async function openRig (t: Teardown, { logLevel = 'warn' } = {}) {
  const servers = await openServers(t)
  const { redisServer, postgres, store, redis } = servers
  const links = new Map<string, Proxy>()
  const roles = new Map<string, Role>()

  async function link (name: string, target: () => { port: number }): Promise<number> {
    if (!LINKS.includes(name)) throw new Error(`the nemesis knows no ${name}`)
    const proxy = await startProxy(target)
    links.set(name, proxy)
    t.teardown(async () => { await proxy.close() })
    return proxy.port
  }

  const common = { ...environment(servers), LOG_LEVEL: logLevel, NODE_COMPILE_CACHE: await compiled(), HEARTBEAT_MS: '2500', OUTBOX_BYTES_MAX: '65536', HOT_EVENTS: '20', HOT_S: '0', EVICT_S: '1' }
  async function open (kind: 'gateway' | 'projector', n: number): Promise<void> {
    const name = `${kind} ${n}`
    const redisUrl = new URL(servers.redisUrl)
    redisUrl.port = String(await link(`${name}–Redis`, () => redisServer))
    const databaseUrl = new URL(servers.databaseUrl)
    databaseUrl.port = String(await link(`${name}–Postgres`, () => postgres))
    databaseUrl.searchParams.set('query_timeout', POSTGRES_SILENT_MS)
    const role = await startRole(t, [kind], { ...common, REDIS_URL: redisUrl.href, DATABASE_URL: databaseUrl.href })
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
    ...Object.entries({ Redis: redisServer, Postgres: postgres }).map(([name, server]) => [name, {
      kill: server.kill,
      freeze: server.freeze,
      thaw: server.thaw,
      start: server.restart,
      restart: server.restart,
    }] as const),
  ])

  /** Does a step and undoes it. Resolves when it is undone. */
  async function inflict (step: Step): Promise<void> {
    // One after the other on the same part: when the machine is slow, the one before may not be undone yet.
    const mine = (underWay.get(step.on) ?? Promise.resolve()).then(async () => { await inflictNow(step) })
    underWay.set(step.on, mine.catch(() => {}))
    await mine
  }
  const underWay = new Map<string, Promise<void>>()

  async function inflictNow ({ fault, on, forMs }: Step): Promise<void> {
    const proxy = links.get(on)
    const keepsAlive = on.endsWith('Postgres')
    const process = processes.get(on)
    const doAndUndo: Record<Step['fault'], [() => unknown, () => unknown]> = {
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

  return {
    inflict,
    heal,
    forget,
    store,
    log: servers.log,
    /** Rooms, users, clients and a checker of their own. Clients connect through the proxies. */
    scene (of: Teardown): Scene {
      slow.length = 0
      return createScene(of, { ...servers, urlOf: n => `http://127.0.0.1:${links.get(`clients–gateway ${n % GATEWAYS}`)!.port}` })
    },
    /** The last lines that each process wrote to standard error. */
    tails: (lines: number): string[] => [...slow, ...[...roles].map(([name, role]) => `── ${name}\n${role.output().trimEnd().split('\n').slice(-lines).join('\n')}`)],
  }
}

/** Where the compiled source is kept: half of what a start costs, and processes that are killed do not write it. Made by one that loads all and ends. */
async function compiled (): Promise<string> {
  const dir = join(tmpdir(), 'millrace-test-compile-cache')
  await once(spawn(process.execPath, [MAIN], { env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: dir }, stdio: 'ignore' }), 'exit')
  return dir
}

/** A teardown of one's own: what was opened last ends first. */
export function createTeardown (): Teardown & { end: () => Promise<void> } {
  const undo: Array<() => unknown> = []
  return {
    teardown (fn) { undo.push(fn) },
    async end () { for (let fn = undo.pop(); fn !== undefined; fn = undo.pop()) await fn() },
  }
}
