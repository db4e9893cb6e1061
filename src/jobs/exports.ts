/**
 * Exports that operators have asked for over HTTP: written to a file by one process at a time, readable by nobody else on the host, under
 * another name until it is whole. Where a process dies, or an attempt fails, another begins from the first row, in a snapshot of its own; what
 * the first has left is removed. Cancelled, it ends within a second; files go when their time is over.
 */
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { linesOf } from '../store/export-lines.ts'
import { exportRows } from '../store/export.ts'
import { beginExport, expireExports, failExports, finishExport, keptFiles, noteExportError, noteProgress, takeWaiting, type Export } from '../store/exports.ts'
import type { Queryable, Store } from '../store/pool.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Task } from './jobs.ts'

const RETRIES = 3
/** Between two notes of how far it is, which tell whether it is still wanted. */
const NOTE_MS = 1000
/** Between two looks at what was asked for, and at what may go. */
const TURN_MS = 2000
const TIDY_TURNS = 5
const FILE = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(\d+)\.(?:ndjson|csv)(\.part)?$/

export interface ExportsDeps {
  store: Store
  /** Where the files are. */
  dir: string
  /** Hours for which they stay. */
  keepH: number
  logger: Logger
}

export function exportTask ({ store, dir, keepH, logger }: ExportsDeps): Task {
  /** Writes all of it, and counts along. Ends early when `signal` is aborted. */
  async function write (asked: Export, path: string, done: Written, signal: AbortSignal): Promise<void> {
    const { what, format, since, until, room_id } = asked
    const lines = linesOf(format, what)
    const file = await open(path, 'w', 0o600)
    const put = async (text: string): Promise<void> => {
      await file.writeFile(text)
      done.bytes += Buffer.byteLength(text)
    }
    try {
      await put(lines.header)
      await exportRows(store, { what, since, until: until ?? undefined, room_id: room_id ?? undefined }, async (rows, total) => {
        await put(rows.map(lines.line).join(''))
        done.rows += rows.length
        done.total = total
      }, signal)
      await file.sync()
    } finally {
      await file.close()
    }
  }

  /** Notes how far it is, until `over`; aborts `unwanted` when it is told that this attempt is to end. */
  async function watch (asked: Export, done: Written, unwanted: AbortController, over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      await sleep(NOTE_MS, undefined, { signal: over }).catch(() => {})
      const wanted = over.aborted || await noteProgress(store, asked, done).catch(() => true) // Postgres is away: the rows will tell
      if (!wanted) unwanted.abort()
    }
  }

  return {
    name: 'export',
    retries: RETRIES,
    async run (id, signal) {
      const asked = await beginExport(store, id)
      if (asked === undefined) return
      const name = `${id}.${asked.attempts}.${asked.format}`
      const [part, whole] = [join(dir, `${name}.part`), join(dir, name)]
      const done: Written = { rows: 0, total: null, bytes: 0 }
      const [unwanted, over] = [new AbortController(), new AbortController()]
      const watched = watch(asked, done, unwanted, over.signal)
      try {
        await mkdir(dir, { recursive: true, mode: 0o700 })
        await write(asked, part, done, AbortSignal.any([signal, unwanted.signal]))
        signal.throwIfAborted()
        if (unwanted.signal.aborted) return
        await rename(part, whole)
        if (await finishExport(store, asked, { ...done, total: done.rows, file: name, keepH })) logger.info({ export: id, rows: done.rows, bytes: done.bytes }, 'an export is done')
        else await rm(whole, { force: true })
      } catch (error) {
        if (!signal.aborted) await noteExportError(store, asked, (error as Error).message)
        throw error
      } finally {
        over.abort()
        await watched
        await rm(part, { force: true }).catch(() => {})
      }
    },
    async bury (ids) {
      await failExports(store, ids)
    },
  }
}

interface Written { rows: number, total: number | null, bytes: number }

export interface Exporter { stop: () => Promise<void> }

/** Queues what is asked for, lets go of what is old, and removes files of which nothing is to stay: cancelled, expired, left by a process that died. */
export function startExporter ({ store, dir, enqueue, logger }: Pick<ExportsDeps, 'store' | 'dir' | 'logger'> & { enqueue: (tx: Queryable, task: string, ids: readonly string[]) => Promise<void> }): Exporter {
  const stopping = new AbortController()
  const { signal } = stopping

  async function tidy (): Promise<void> {
    await expireExports(store)
    const found = (await readdir(dir).catch(() => [])).flatMap(name => {
      const [, id, attempt, part] = FILE.exec(name) ?? []
      return id === undefined ? [] : [{ name, id, attempt: Number(attempt), part: part !== undefined }]
    })
    if (found.length === 0) return
    const kept = await keptFiles(store, [...new Set(found.map(({ id }) => id))])
    for (const { name, id, attempt, part } of found) {
      const keep = kept.get(id)
      // A whole file of the attempt under way has just been written: it is noted next.
      const stays = keep !== undefined && (keep.file === null ? keep.attempts === attempt : !part && keep.file === name)
      if (!stays) await rm(join(dir, name), { force: true })
    }
  }

  async function run (): Promise<void> {
    let fault: string | null = null
    for (let turn = 0; !signal.aborted; turn++) {
      try {
        await store.transaction(async tx => {
          const ids = await takeWaiting(tx)
          if (ids.length > 0) await enqueue(tx, 'export', ids)
        })
        if (turn % TIDY_TURNS === 0) await tidy()
        fault = null
      } catch (error) {
        const reason = (error as Error).message
        if (fault !== reason) logger.warn({ reason }, 'exports wait')
        fault = reason
      }
      await sleep(TURN_MS, undefined, { signal }).catch(() => {})
    }
  }

  const done = run()
  return {
    async stop () {
      stopping.abort()
      await done
    },
  }
}
