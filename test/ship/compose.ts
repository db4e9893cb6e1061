// docker-compose.yml without a container engine: the file is read as Compose reads it, and its services are started as processes of
// this machine, with their commands and environment, in the order that they ask for. What a container has for itself is translated, and
// nothing else: host names and ports become free ports of 127.0.0.1, volumes temporary folders. Millrace runs out of the image's own
// tree (image.ts); Redis and Postgres are real servers, HAProxy and Prometheus those of the system. Grafana is left out.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { parse } from 'yaml'
import { freePort } from '../../src/dev/ports.ts'
import { askPostgres } from '../../src/dev/postgres-server.ts'
import { BASE, testPostgres, testRedis, watch } from '../dev/servers.ts'
import type { Teardown } from '../e2e/world.ts'
import { until } from '../until.ts'
import { entryPoint, healthCommand, imageEnv, imageTree, read, ROOT, said } from './image.ts'

/** How often a service that ends before it is healthy is started again, as its restart policy says. */
const RESTARTS_MAX = 3

export interface Service {
  image: string
  build?: string
  command?: string[]
  environment?: Record<string, string>
  volumes?: string[]
  ports?: string[]
  profiles?: string[]
  restart?: string
  mem_limit?: string
  stop_grace_period?: string
  healthcheck?: { test?: string[], disable?: boolean }
  depends_on?: Record<string, { condition: string }>
}

/** The file as Compose has it after anchors and variables. Throws where `${NAME:?…}` is not given. */
export function readCompose (env: Record<string, string>): { services: Record<string, Service>, volumes: Record<string, unknown> } {
  const put = (value: unknown): unknown => {
    if (typeof value === 'string') return interpolate(value, env)
    if (Array.isArray(value)) return value.map(put)
    if (value !== null && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, put(each)]))
    return value
  }
  return put(parse(read('docker-compose.yml'), { merge: true })) as ReturnType<typeof readCompose>
}

function interpolate (text: string, env: Record<string, string>): string {
  return text.replace(/\$\$|\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_, name: string | undefined, kind: string, more: string) => {
    if (name === undefined) return '$'
    const value = env[name] ?? ''
    if (value === '' && kind === '?') throw new Error(`required variable ${name} is missing a value: ${more}`)
    return value === '' && kind === '-' ? more : value
  })
}

/** What `sh docker/secrets.sh` makes, in a folder of its own. */
export function madeSecrets (dir: string): Record<string, string> {
  execFileSync('sh', [join(ROOT, 'docker/secrets.sh')], { cwd: dir, stdio: 'pipe' })
  return Object.fromEntries(readFileSync(join(dir, '.env'), 'utf8').trim().split('\n').map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
}

export function programOf (name: string): string | undefined {
  return [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/bin', '/usr/local/bin', '/opt/homebrew/bin'].map(dir => join(dir, name)).find(path => existsSync(path))
}

export interface Container {
  readonly running: boolean
  output: () => string
  /** Starts it again on the same ports; resolves when it is healthy. */
  start: () => Promise<void>
  /** As `docker kill`. */
  kill: () => Promise<void>
  /** As `docker stop`: the image's signal, then SIGKILL after the grace period. Resolves with the exit code. */
  stop: () => Promise<number | null>
}

/** All services up, as after `docker compose up --wait`. */
export async function composeUp (t: Teardown) {
  const dir = mkdtempSync(join(BASE, 'millrace-compose-'))
  watch(dir)
  t.teardown(() => { rmSync(dir, { recursive: true, force: true }) })
  const secrets = madeSecrets(dir)
  const { services } = readCompose(secrets)
  const tree = imageTree(t)
  const ports = new Map<string, number>()

  /** The port of 127.0.0.1 that stands for `port` of a service. */
  async function portOf (service: string, port: number): Promise<number> {
    const key = `${service}:${port}`
    if (!ports.has(key)) ports.set(key, await freePort())
    return ports.get(key)!
  }
  async function translate (text: string): Promise<string> {
    const named = new RegExp(`\\b(${Object.keys(services).join('|')}):(\\d+)\\b`, 'g')
    for (const [, service, port] of text.matchAll(named)) await portOf(service!, Number(port))
    return text.replace(named, (all: string) => `127.0.0.1:${ports.get(all)}`)
  }

  const redisArgs = services.redis!.command!.slice(1)
  const password = redisArgs.splice(redisArgs.indexOf('--requirepass'), 2)[1]!
  const postgresArgs = services.postgres!.command!.slice(1)
  const [redis, postgres] = await Promise.all([
    testRedis(t, { args: redisArgs, password }),
    testPostgres(t, { args: postgresArgs }),
  ])
  ports.set('redis:6379', redis.port)
  ports.set('postgres:5432', postgres.port)
  const { POSTGRES_USER: user, POSTGRES_DB: database, POSTGRES_PASSWORD: secret } = services.postgres!.environment!
  for (const sql of [`CREATE DATABASE ${database} OWNER ${user}`, `ALTER ROLE ${user} PASSWORD '${secret}'`]) { // what the image does on its first start; the test's server has that role
    const { error } = await askPostgres(postgres.urlOf('postgres'), sql)
    if (error !== undefined) throw new Error(error)
  }

  const containers: Record<string, Container> = {}

  async function container (name: string, [file = '', ...args]: string[], { env, cwd, healthy, stopSignal }: { env: Record<string, string>, cwd: string, healthy: () => Promise<boolean>, stopSignal: NodeJS.Signals }): Promise<Container> {
    let child: ChildProcess
    let output = ''
    const graceMs = Number(/^(\d+)s$/.exec(services[name]!.stop_grace_period ?? '10s')![1]) * 1000
    const ended = async (): Promise<void> => { if (child.exitCode === null && child.signalCode === null) await once(child, 'exit') }
    const running = (): boolean => child.exitCode === null && child.signalCode === null
    const startOnce = async (): Promise<void> => {
      child = spawn(file, args, { cwd, env: { PATH: process.env.PATH ?? '', ...env }, stdio: ['ignore', 'pipe', 'pipe', ...(file === process.execPath ? ['ipc' as const] : [])] }) // ours end with us by the channel
      for (const stream of [child.stdout!, child.stderr!]) stream.on('data', data => { output = (output + String(data)).slice(-20_000) })
      await until(async () => !running() || await healthy(), { timeoutMs: 90_000, everyMs: 200 }).catch(() => { throw new Error(`${name} does not become healthy; it said ${output}`) })
    }
    const one: Container = {
      get running () { return running() },
      output: () => output,
      async start () {
        for (let restarts = 0; ; restarts++) {
          await startOnce()
          if (running()) return
          if (restarts === RESTARTS_MAX || services[name]!.restart !== 'unless-stopped') throw new Error(`${name} ended with ${child.exitCode ?? child.signalCode}: ${output}`)
        }
      },
      async kill () {
        child.kill('SIGKILL')
        await ended()
      },
      async stop () {
        child.kill(stopSignal)
        const timer = setTimeout(() => { child.kill('SIGKILL') }, graceMs)
        await ended()
        clearTimeout(timer)
        return child.exitCode
      },
    }
    t.teardown(one.kill)
    await one.start()
    containers[name] = one
    return one
  }

  /** Environment of a service made of our image. */
  async function environmentOf (name: string): Promise<Record<string, string>> {
    const given = { ...imageEnv(), ...services[name]!.environment }
    const env = Object.fromEntries(await Promise.all(Object.entries(given).map(async ([key, value]) => [key, value === '0.0.0.0' ? '127.0.0.1' : await translate(value)])))
    return { ...env, PORT: String(await portOf(name, 8080)), OPS_PORT: String(await portOf(name, 9465)) } as Record<string, string>
  }
  const commandOf = (name: string, args = services[name]!.command!): string[] => [process.execPath, ...entryPoint().slice(1), ...args]

  async function millrace (name: string): Promise<void> {
    const env = await environmentOf(name)
    const [, ...check] = healthCommand()
    const urls = [env.PORT, env.OPS_PORT].map(port => `http://127.0.0.1:${port}/healthz`)
    const healthy = async (): Promise<boolean> => {
      if (!(await Promise.all(urls.map(ok))).includes(true)) return false // not worth a process yet
      const [code] = await once(spawn(process.execPath, check, { cwd: tree, env, stdio: 'ignore' }), 'exit')
      return code === 0
    }
    await container(name, commandOf(name), { env, cwd: tree, healthy, stopSignal: said('STOPSIGNAL') as NodeJS.Signals })
  }

  /** Runs a command of the image to its end, as `docker compose run`. */
  async function run (name: string, args?: string[]): Promise<{ code: number | null, output: string }> {
    const [file = '', ...rest] = commandOf(name, args)
    const child = spawn(file, rest, { cwd: tree, env: await environmentOf(name), stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', data => { output += String(data) })
    const [code] = await once(child, 'close')
    return { code, output }
  }

  async function balancer (name: string): Promise<void> {
    const bound = read('docker/haproxy.cfg').replace(/^( +bind ):(\d+)$/gm, `$1${name}:$2`)
    const config = join(dir, 'haproxy.cfg')
    writeFileSync(config, await translate(bound))
    const url = `http://127.0.0.1:${await portOf(name, 8080)}/balancer`
    await container(name, [programOf('haproxy')!, '-db', '-f', config], { env: {}, cwd: dir, healthy: async () => await ok(url), stopSignal: 'SIGUSR1' })
  }

  async function prometheus (name: string): Promise<void> {
    const listen = await portOf(name, 9090)
    cpSync(join(ROOT, 'grafana'), join(dir, 'etc-prometheus'), { recursive: true })
    const config = join(dir, 'etc-prometheus', 'prometheus.yml')
    writeFileSync(config, (await translate(readFileSync(config, 'utf8'))).replaceAll('localhost:9090', `127.0.0.1:${listen}`))
    const args = services[name]!.command!.map(arg => arg.replace('=/etc/prometheus', `=${join(dir, 'etc-prometheus')}`).replace(/=\/prometheus$/, `=${join(dir, 'prometheus')}`))
    await container(name, [programOf('prometheus')!, ...args, `--web.listen-address=127.0.0.1:${listen}`], { env: {}, cwd: dir, healthy: async () => await ok(`http://127.0.0.1:${listen}/-/ready`), stopSignal: 'SIGTERM' })
  }

  async function startService (name: string): Promise<void> {
    const { image, build } = services[name]!
    if (name === 'migrate') {
      const { code, output } = await run(name)
      if (code !== 0) throw new Error(`migrate ended with ${code}: ${output}`)
    } else if (build !== undefined) await millrace(name)
    else if (image.startsWith('haproxy')) await balancer(name)
    else if (image.startsWith('prom/prometheus')) await prometheus(name)
  }

  // As Compose: a service when those that it depends on are healthy or have ended well; others at the same time.
  const started = new Map<string, Promise<void>>()
  const startAfter = async (name: string): Promise<void> => {
    if (!started.has(name)) started.set(name, Promise.all(Object.keys(services[name]!.depends_on ?? {}).map(startAfter)).then(async () => { await startService(name) }))
    await started.get(name)
  }
  await Promise.all(Object.entries(services).filter(([, { profiles }]) => profiles === undefined).map(async ([name]) => { await startAfter(name) }))

  const urlOf = (service: string, port: number): string => `http://127.0.0.1:${ports.get(`${service}:${port}`)}`
  return { services, secrets, containers, redis, postgres, run, urlOf, translate }
}

async function ok (url: string): Promise<boolean> {
  return await fetch(url, { signal: AbortSignal.timeout(2000) }).then(answer => answer.ok, () => false)
}
