/**
 * Who holds a data directory, and how to reach the `npm start` that runs on it.
 *
 * `lock.json` holds a data directory for one launcher: of two at once exactly one gets it, and that of a killed one is void, also
 * when its pid is in use again. `run.json`, written when everything is ready, says where it listens and with which Redis and Postgres:
 * the command line reads it. `processes.json` lists what a launcher started, so that the next one can wait for what a killed one left.
 * All hold secrets or pids: mode 0600. Good for processes that see each other (one machine, one container), not over NFS.
 */
import { randomUUID } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive, processId, type ProcessId } from './processes.ts'
import { StartError } from './start-error.ts'

/** What run.json says. URLs carry passwords. */
export interface RunFile extends ProcessId {
  /** Where the gateway listens: http://host:port. */
  readonly url: string
  readonly redis_url: string
  readonly database_url: string
  /** When it became ready: RFC 3339. */
  readonly ready_at: string
}

interface LockFile extends ProcessId { readonly id: string }

/** The launcher that runs on this data directory and is ready; undefined when there is none. Never throws. */
export function findRunning (dataDir: string): RunFile | undefined {
  const run = readJson<RunFile>(join(dataDir, 'run.json'))
  return run !== undefined && isAlive(run) ? run : undefined
}

export function writeRunFile (dataDir: string, run: Omit<RunFile, keyof ProcessId>): void {
  writeJson(join(dataDir, 'run.json'), { ...self(), ...run })
}

export function removeRunFile (dataDir: string): void {
  rmSync(join(dataDir, 'run.json'), { force: true })
}

/** Takes the data directory for this process; throws StartError when another has it. Returns the release, which may be called twice. */
export function lockDataDir (dataDir: string): () => void {
  const path = join(dataDir, 'lock.json')
  const lock = acquire(path)
  if ('pid' in lock) throw new StartError(`the data directory ${dataDir} is in use by pid ${lock.pid}: stop that one first (kill ${lock.pid}), or set DATA_DIR to another`)
  return lock.release
}

/**
 * Makes the file, whole, in one step (link fails if the name is there). A void one is removed first, and that needs a lock too: two who
 * saw the same void file could otherwise both remove, the second one removing what the first has just made. That lock is named
 * after the void file's id; who holds it looks again before removing.
 */
function acquire (path: string): LockFile | { release: () => void } {
  const mine: LockFile = { ...self(), id: randomUUID() }
  const draft = `${path}.${mine.id}`
  writeFileSync(draft, JSON.stringify(mine), { mode: 0o600 })
  try {
    for (;;) {
      try {
        linkSync(draft, path)
        return { release: () => { if (readJson<LockFile>(path)?.id === mine.id) rmSync(path, { force: true }) } }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      const held = readJson<LockFile>(path)
      if (held === undefined) continue // released meanwhile
      if (isAlive(held)) return held
      const breaking = acquire(`${path}.void-${held.id}`)
      if ('pid' in breaking) return breaking // that one will have it
      if (readJson<LockFile>(path)?.id === held.id) rmSync(path, { force: true })
      breaking.release()
    }
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Remembers a process that this launcher started, and forgets those that are gone. A note that fails (a full disk) only costs the next start its wait. */
export function rememberProcess (dataDir: string, name: string, id: ProcessId): void {
  const others = rememberedProcesses(dataDir).filter(known => known.name !== name)
  try {
    writeJson(join(dataDir, 'processes.json'), [...others, { name, ...id }])
  } catch {}
}

/** Processes of this or of a killed launcher that are alive. */
export function rememberedProcesses (dataDir: string): Array<ProcessId & { name: string }> {
  return (readJson<Array<ProcessId & { name: string }>>(join(dataDir, 'processes.json')) ?? []).filter(isAlive)
}

export function forgetProcesses (dataDir: string): void {
  rmSync(join(dataDir, 'processes.json'), { force: true })
}

function self (): ProcessId {
  const id = processId(process.pid)
  if (id === undefined) throw new Error(`pid ${process.pid} cannot be looked up`)
  return id
}

/** Undefined when the file is not there or holds no JSON (one cut off by a crash). */
export function readJson<T> (path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T
  } catch {
    return undefined
  }
}

/** Replaces the file in one step: a reader sees the old or the new, whole. */
export function writeJson (path: string, value: unknown): void {
  const draft = `${path}.${process.pid}.tmp`
  writeFileSync(draft, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 })
  renameSync(draft, path)
}
