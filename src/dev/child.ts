/**
 * One process of ours below the launcher: a role of src/main.ts, or a command that runs to its end.
 *
 * In a session of its own, so that a terminal's Ctrl-C reaches only the launcher, which decides the order. What binds
 * the two is the IPC channel: the child says `{ ready: true, url }` on it, and when it closes (the launcher was killed) the child
 * drains and exits by itself. SIGTERM asks it to drain; after `stopMs` it is killed. Standard output and error are the launcher's.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { endProcess, processId, type ProcessId } from './processes.ts'
import { StartError } from './start-error.ts'

export interface ChildOptions {
  name: string
  /** The script, and its arguments. */
  entry: string
  args: readonly string[]
  env: NodeJS.ProcessEnv
  /** What it has after SIGTERM. */
  stopMs: number
  /** Called as soon as there is a process. */
  onSpawn?: (id: ProcessId) => void
  /** Aborted: stop it and throw. */
  signal?: AbortSignal
}

export interface Child {
  readonly id: ProcessId
  /** What it said with `ready`. */
  readonly url: string | undefined
  readonly exited: Promise<void>
  stop (): Promise<void>
}

/** It ended before it was ready. `message` is empty when it has said why by itself, in its one line on standard error. */
export class ChildFailed extends StartError {
  override name = 'ChildFailed'
}

/** Starts a role and waits until it is ready. Throws ChildFailed. */
export async function startChild (options: ChildOptions & { readyMs?: number }): Promise<Child> {
  const { name, signal, readyMs = 60_000 } = options
  const { child, id, ended, stop } = launch(options)
  let timer: NodeJS.Timeout | undefined
  let onAbort: (() => void) | undefined
  const ready = new Promise<{ url: string | undefined }>((resolve, reject) => {
    child.on('message', (message: { ready?: boolean, url?: string } | null) => { if (message?.ready === true) resolve({ url: message.url }) })
    timer = setTimeout(() => reject(new ChildFailed(`${name} was not ready after ${readyMs / 1000} s: run with LOG_LEVEL=debug to see why`)), readyMs)
    onAbort = () => reject(new ChildFailed(''))
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted === true) onAbort()
    void ended.then(end => reject(new ChildFailed(unsaid(name, end))))
  })
  try {
    const { url } = await ready
    return { id, url, exited: ended.then(() => {}), stop }
  } catch (error) {
    await stop()
    throw error
  } finally {
    clearTimeout(timer)
    if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort)
  }
}

/** Runs a command to its end. Throws ChildFailed unless it exits 0. */
export async function runChild (options: ChildOptions): Promise<void> {
  const { ended, stop } = launch(options)
  const onAbort = (): void => { void stop() }
  options.signal?.addEventListener('abort', onAbort, { once: true })
  if (options.signal?.aborted === true) onAbort()
  const end = await ended
  options.signal?.removeEventListener('abort', onAbort)
  if (end.code !== 0) throw new ChildFailed(unsaid(options.name, end))
}

interface End { code: number | null, signal: NodeJS.Signals | null }

/** By the contract exit code 1 means that it has written its line. Anything else it could not say itself. */
function unsaid (name: string, { code, signal }: End): string {
  return code === 1 ? '' : `${name} ended ${signal === null ? `with exit code ${code}` : `by ${signal}`} before it was ready: run with LOG_LEVEL=debug to see why`
}

function launch ({ name, entry, args, env, stopMs, onSpawn }: ChildOptions): { child: ChildProcess, id: ProcessId, ended: Promise<End>, stop: () => Promise<void> } {
  const child = spawn(process.execPath, [entry, ...args], { detached: true, stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env })
  const ended = new Promise<End>(resolve => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
    child.once('error', () => resolve({ code: null, signal: null }))
  })
  const id = child.pid === undefined ? undefined : processId(child.pid)
  if (id === undefined) throw new ChildFailed(`${name} could not be started with ${process.execPath}`)
  onSpawn?.(id)
  return { child, id, ended, stop: async () => { await endProcess(id, [['SIGTERM', stopMs]]) } }
}
