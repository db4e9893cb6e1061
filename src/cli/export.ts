/**
 * `millrace export`: messages or events as lines of JSON, or as CSV, on standard output; how far it is on standard error. Nothing is
 * written but that: cut off, by Ctrl-C or by whoever reads it, it leaves no file and no cursor behind.
 *
 * Exit code 0: all was written; 1: it was not, and the message says why; 130: it was interrupted, after a whole line.
 */
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import type { Config } from '../config.ts'
import { FORMATS, linesOf, type ExportFormat } from '../store/export-lines.ts'
import { EXPORTS, exportRows, type ExportQuery } from '../store/export.ts'
import { openStore } from '../store/pool.ts'
import { createLogger } from '../telemetry/logging.ts'
import { CommandFailed, UsageError } from './errors.ts'
import { createProgress, type Progress } from './progress.ts'
import { reachStores } from './reach.ts'

const INTERRUPTED = 130

interface Asked { readonly format: ExportFormat, readonly query: ExportQuery }

export async function exportCommand (args: string[], given: Config): Promise<number> {
  const { format, query } = argumentsOf(args)
  const DATABASE_URL = given.DATABASE_URL ?? reachStores(given).DATABASE_URL
  const log = createLogger({ level: 'error', role: 'export' })
  const store = await openStore({ url: DATABASE_URL, max: 2, name: 'export', log })
  const interrupted = new AbortController()
  const interrupt = (): void => { interrupted.abort() }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt) // once: the second ends it at once
  const output = createOutput(interrupted.signal)
  const lines = linesOf(format, query.what)
  let progress: Progress | undefined
  let written = 0
  try {
    await output.write(lines.header)
    await exportRows(store, query, async (rows, total) => {
      progress ??= createProgress({ total, what: query.what })
      await output.write(rows.map(lines.line).join(''))
      progress.at(written += rows.length)
    }, interrupted.signal)
    progress?.end()
    if (interrupted.signal.aborted) process.stderr.write(`Interrupted after ${written} ${query.what}.\n`)
    return interrupted.signal.aborted ? INTERRUPTED : 0
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt)
    output.stop()
    await store.close()
  }
}

/** Standard output, no faster than it is read: `write` waits for that, until `signal`. Throws CommandFailed when nobody reads any more. */
function createOutput (signal: AbortSignal): { write: (text: string) => Promise<void>, stop: () => void } {
  const { stdout } = process
  let failure: NodeJS.ErrnoException | undefined
  const fail = (error: NodeJS.ErrnoException): void => { failure = error }
  stdout.on('error', fail)
  const check = (): void => { if (failure !== undefined) throw new CommandFailed(failure.code === 'EPIPE' ? 'Whoever read the output went away before its end.' : `The output cannot be written: ${failure.message}.`) }
  return {
    async write (text) {
      check()
      if (text !== '' && !stdout.write(text)) {
        await once(stdout, 'drain', { signal }).catch((error: Error) => { if (error.name !== 'AbortError') failure ??= error })
      }
      check()
    },
    stop () { stdout.off('error', fail) },
  }
}

function argumentsOf (args: string[]): Asked {
  const { values } = (() => {
    try {
      return parseArgs({ args, options: { format: { type: 'string' }, since: { type: 'string' }, until: { type: 'string' }, room: { type: 'string' }, what: { type: 'string' } } })
    } catch (error) {
      throw new UsageError((error as Error).message)
    }
  })()
  const { format = 'ndjson', since, until, room, what = 'messages' } = values
  if (!isOneOf(FORMATS, format)) throw new UsageError(`--format is ${FORMATS.join(' or ')}, not ${format}.`)
  if (!isOneOf(Object.keys(EXPORTS) as Array<keyof typeof EXPORTS>, what)) throw new UsageError(`--what is ${Object.keys(EXPORTS).join(' or ')}, not ${what}.`)
  if (since === undefined) throw new UsageError('Say from when on: --since 2026-11-20.')
  if (room !== undefined && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(room)) throw new UsageError('--room takes the ID of a room.')
  const query = { what, since: timeOf('--since', since), until: until === undefined ? undefined : timeOf('--until', until), room_id: room?.toLowerCase() }
  if (query.until !== undefined && query.until <= query.since) throw new UsageError('--until must be after --since.')
  return { format, query }
}

function isOneOf<T extends string> (words: readonly T[], word: string): word is T {
  return (words as readonly string[]).includes(word)
}

/** A date, which is its midnight, or a time of RFC 3339; UTC where it names no zone. */
function timeOf (option: string, text: string): Date {
  const [, date, time, zone = 'Z'] = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|[+-]\d{2}:\d{2})?)?$/i.exec(text) ?? []
  const at = date === undefined ? new Date(NaN) : new Date(`${date}T${time ?? '00:00'}${zone.toUpperCase()}`)
  // A day that the month does not have would become one of the next.
  if (Number.isNaN(at.getTime()) || new Date(`${date}T00:00Z`).toISOString().slice(0, 10) !== date) throw new UsageError(`${option} must be a date like 2026-11-20, or a time like 2026-11-20T08:00:00Z, not ${text}.`)
  return at
}
