/**
 * Runs `npm start` in a test: over the stand-ins, or any command line, in a data directory of its own. Whatever it leaves behind (a
 * test kills it in many ways) is ended by t.teardown, found through what works in the data directory.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { endProcess, processId, workingIn, type ProcessId } from '../../src/dev/processes.ts'
import { rememberedProcesses } from '../../src/dev/run-file.ts'
import { BASE, watch } from '../dev/servers.ts'
import { until } from '../until.ts'

export const LAUNCHER = [process.execPath, fileURLToPath(new URL('launch-stand-ins.ts', import.meta.url))]

export interface Launched {
  readonly child: ChildProcess
  readonly id: ProcessId
  readonly dataDir: string
  readonly out: () => string
  readonly err: () => string
  /** Waits for the ready line and returns the URL. */
  ready (): Promise<string>
  /** Waits for the end. `ms`: how long it took from this call. */
  ended (): Promise<{ code: number | null, signal: NodeJS.Signals | null, ms: number }>
}

interface Test { teardown: (fn: () => Promise<void>) => unknown }

/** A directory that everyone may pass through, removed at the end with all processes that work in it. */
export function dataDirectory (t: Test): string {
  const dir = mkdtempSync(join(BASE, 'millrace-start-'))
  watch(dir)
  chmodSync(dir, 0o755)
  const dataDir = join(dir, 'data')
  t.teardown(async () => {
    const left = [...rememberedProcesses(dataDir), ...serversOf(dataDir)]
    await Promise.all(left.map(async id => { await endProcess(id, [['SIGKILL', 2000]]) }))
    rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  })
  return dataDir
}

/** Redis and Postgres over this data directory. */
export function serversOf (dataDir: string): ProcessId[] {
  const moved = join(dataDir, 'postgres.moved')
  const postgres = existsSync(moved) ? readFileSync(moved, 'utf8').trim() : join(dataDir, 'postgres')
  return [...workingIn(join(dataDir, 'redis')), ...workingIn(join(postgres, 'data'))]
}

export function launch (t: Test, dataDir: string, env: Record<string, string> = {}, [file = '', ...args]: string[] = LAUNCHER, cwd?: string): Launched {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: { ...cleanEnv(), DATA_DIR: dataDir, PORT: '0', ...env }, cwd })
  let out = ''
  let err = ''
  child.stdout?.on('data', chunk => { out += String(chunk) })
  child.stderr?.on('data', chunk => { err += String(chunk) })
  let end: { code: number | null, signal: NodeJS.Signals | null } | undefined
  child.once('close', (code, signal) => { end = { code, signal } })
  const id = processId(child.pid ?? 0)
  if (id === undefined) throw new Error(`${file} does not start`)
  t.teardown(async () => { await endProcess(id, [['SIGTERM', 10_000]]) })
  return {
    child,
    id,
    dataDir,
    out: () => out,
    err: () => err,
    async ready () {
      await until(() => out.includes('Millrace is ready on') || end !== undefined, { what: 'the ready line' })
      const url = /^Millrace is ready on (\S+)$/m.exec(out)?.[1]
      if (url === undefined) throw new Error(`it ended instead: ${JSON.stringify(end)} ${err}`)
      return url
    },
    async ended () {
      const from = performance.now()
      await until(() => end !== undefined, { what: 'the end of the launcher' })
      return { ...end as NonNullable<typeof end>, ms: performance.now() - from }
    },
  }
}

/** Ours, without what npm and tap put in, and without variables of Millrace. */
function cleanEnv (): Record<string, string> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|TAP|_TAP|NODE_OPTIONS|REDIS_URL|DATABASE_URL|JWT_)/i.test(name))) as Record<string, string>
}

export interface Seen { pid: number, args: string[], env: Record<string, string> }
/** What the stand-in gateway was given. */
export const ask = async (url: string): Promise<Seen> => await (await fetch(url)).json() as Seen
export const lines = (text: string): string[] => text.trim().split('\n').filter(line => line !== '')
/** Every process that belongs to the launcher, itself included. */
export const all = ({ id, dataDir }: Launched): ProcessId[] => [id, ...rememberedProcesses(dataDir), ...serversOf(dataDir)]
/** What the stand-ins wrote on their way out. */
export const drained = (dataDir: string): string[] => ['gateway+jobs', 'projector'].map(role => existsSync(join(dataDir, `drained-${role}`)) ? readFileSync(join(dataDir, `drained-${role}`), 'utf8') : 'not drained')
