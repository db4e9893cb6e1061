/**
 * Processes of this machine, by pid: is it the one we mean, is it gone, end it.
 *
 * A pid alone proves nothing: it is reused, soon so in a container. So a process is named by its pid and the time it
 * started. A zombie counts as gone: where PID 1 does not reap, one stays for ever. Linux is read from /proc (a slim image
 * has no `ps`), other systems through `ps`.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** One run of one process. `started` is opaque; equal only for the same run, also across a reboot. */
export interface ProcessId {
  readonly pid: number
  readonly started: string
}

/** A server that runs: private Redis, embedded Postgres, or a process of ours. */
export interface RunningServer {
  readonly id: ProcessId
  readonly url: string
  readonly port: number
  /** Resolves when the process is gone, for whatever reason. Waiting for it does not keep this process alive. */
  readonly exited: Promise<void>
  /** Stops it cleanly, then by force; resolves when it is gone. Twice does nothing more. */
  stop (): Promise<void>
}

const linux = process.platform === 'linux'
let boot: string | undefined

/** When `pid` started, as an opaque text; undefined when there is no such process, or only its zombie. */
export function startedAt (pid: number): string | undefined {
  try {
    if (linux) {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ') // the name before it may hold anything; state is field 3
      if (fields[0] === 'Z' || fields[0] === 'X') return undefined
      boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8)
      return `${boot}-${fields[19]}`
    }
    const [state, ...lstart] = execFileSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], { encoding: 'utf8', stdio: 'pipe' }).trim().split(/\s+/)
    return state === undefined || state.startsWith('Z') ? undefined : lstart.join(' ')
  } catch {
    return undefined // gone between two looks, or never there
  }
}

/** The run of `pid` that is on now. */
export function processId (pid: number): ProcessId | undefined {
  const started = startedAt(pid)
  return started === undefined ? undefined : { pid, started }
}

export function isAlive (id: ProcessId): boolean {
  return startedAt(id.pid) === id.started
}

/** Waits until the process is gone; false when it is still there after `timeoutMs`. */
export async function waitGone (id: ProcessId, timeoutMs: number, everyMs = 20): Promise<boolean> {
  const end = Date.now() + timeoutMs
  while (isAlive(id)) {
    if (Date.now() >= end) return false
    await sleep(everyMs)
  }
  return true
}

/** Sends a signal to exactly this run; false when it is gone already. */
export function signalProcess (id: ProcessId, signal: NodeJS.Signals): boolean {
  if (!isAlive(id)) return false
  try {
    process.kill(id.pid, signal)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

/** Sends each signal in turn and waits up to its milliseconds, then SIGKILL. A stopped process is continued, so that it hears. */
export async function endProcess (id: ProcessId, steps: ReadonlyArray<readonly [NodeJS.Signals, number]>): Promise<void> {
  for (const [signal, ms] of steps) {
    if (!signalProcess(id, signal)) return
    signalProcess(id, 'SIGCONT')
    if (await waitGone(id, ms)) return
  }
  signalProcess(id, 'SIGKILL')
  await waitGone(id, 2000)
}

/** Pids below `pid`, children first; itself not among them. Empty where it cannot be asked. */
export function descendants (pid: number): number[] {
  const parents = new Map<number, number[]>()
  for (const [child, parent] of parentPairs()) parents.set(parent, [...parents.get(parent) ?? [], child])
  const found: number[] = []
  const visit = (p: number): void => { for (const child of parents.get(p) ?? []) { found.push(child); visit(child) } }
  visit(pid)
  return found
}

/** Live processes whose working directory is `dir`: how a server over a data directory is found without its pid file. Linux only, else empty. */
export function workingIn (dir: string): ProcessId[] {
  if (!linux) return []
  let real: string
  try {
    real = realpathSync(dir)
  } catch {
    return []
  }
  return pids().filter(pid => {
    try {
      return readlinkSync(`/proc/${pid}/cwd`) === real
    } catch {
      return false // another user's, or gone
    }
  }).map(processId).filter(id => id !== undefined)
}

function pids (): number[] {
  return readdirSync('/proc').filter(name => /^\d+$/.test(name)).map(Number)
}

function parentPairs (): Array<readonly [number, number]> {
  if (!linux) {
    const lines = execFileSync('ps', ['-axo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
    return lines.map(line => line.trim().split(/\s+/).map(Number)).map(([pid = 0, ppid = 0]) => [pid, ppid] as const)
  }
  return pids().flatMap(pid => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      return [[pid, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])] as const]
    } catch {
      return []
    }
  })
}
