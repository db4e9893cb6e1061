/**
 * `millrace import irc`: reads IRC logs into a room, through the same commands as everyone's. Nicks become users without a
 * password, lines become messages with their times, joins, parts and renames become membership events.
 *
 * Each event has a key made of file and line, and is sent as `resend`: so running it again adds nothing, and a run that was
 * killed is completed by the next, whatever files either is given. A line whose own event is in the log already is skipped
 * whole. Ends when the projections have caught up.
 */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRestorer } from '../../projections/restore.ts'
import { ensureUsers } from '../auth/imported-users.ts'
import { createCommands } from '../commands/commands.ts'
import { createFirstResults, keyOf, type FirstResults } from '../commands/first-results.ts'
import type { Commands } from '../commands/request.ts'
import type { Config } from '../config.ts'
import type { Command } from '../domain/commands.ts'
import { REJECTIONS } from '../domain/rejections.ts'
import { uuidv7 } from '../ids.ts'
import { createCold } from '../log/cold.ts'
import { checkRedisPartitions } from '../log/deployment.ts'
import { createKeys } from '../log/keys.ts'
import { createRedisLog } from '../log/redis-log.ts'
import { connectRedis } from '../log/redis.ts'
import { archiveLook } from '../roles/archive-look.ts'
import { ARCHIVE } from '../store/archive.ts'
import { appliedSeqs } from '../store/checkpoints.ts'
import { HISTORY } from '../store/history.ts'
import { openStore, type Store } from '../store/pool.ts'
import { createLogger } from '../telemetry/logging.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { CommandFailed, UsageError } from './errors.ts'
import { importedRoom } from './imported-room.ts'
import { parseIrc, type IrcAction } from './irc.ts'
import { createProgress } from './progress.ts'
import { reachStores } from './reach.ts'

/** Lines whose events are under way at the same time. */
const WINDOW = 512
const RETRY_MS = 500
/** How long Redis or Postgres may be away before the import gives up. */
const PATIENCE_MS = 60_000
/** How long the projections may stand still before the import gives up waiting for them. */
const STALLED_MS = 30_000

interface Line extends IrcAction { readonly file: string }
interface Step { readonly user_id: string, readonly command: Command, readonly key: string, readonly at: number, readonly mayFail: boolean }
interface Unread { readonly file: string, readonly line: number, readonly text: string, readonly why: string }

export async function importCommand (args: string[], given: Config): Promise<number> {
  const { room: name, date, files } = argumentsOf(args)
  const { lines, unread } = await readFiles(files, date)
  const config = reachStores(given)
  const log = createLogger({ level: 'error', role: 'import' })
  const metrics = createMetrics('import')
  const store = await openStore({ url: config.DATABASE_URL, max: 4, name: 'import', log })
  const redis = await connectRedis(config.REDIS_URL, 'import', log)
  try {
    await checkRedisPartitions(redis, config.PARTITIONS)
    const keys = createKeys(config.PARTITIONS)
    const roomLog = createRedisLog({ redis, keys, log })
    const firstResults = createFirstResults({ archiveLook: archiveLook(store), log: roomLog })
    const commands = createCommands({
      log: roomLog, firstResults, noteMembership: async () => {}, onFenced: () => {}, restore: createRestorer({ store, cold: createCold({ redis, keys }), metrics, clock: Date.now }).restore, clock: Date.now, newId: uuidv7, queuedMax: 10 * WINDOW, roomsMax: 100, metrics, logger: log,
    })
    const room = await importedRoom({ name, store, log: roomLog, commands })
    const users = await ensureUsers({ store, newId: uuidv7, clock: Date.now }, lines.flatMap(({ nick, to }) => to === undefined ? [nick] : [nick, to]))
    const { added, refused } = await send({ room, lines, users, commands, firstResults })
    const { heads } = await persistently(async () => await roomLog.heads([room]))
    await untilProjected(store, room, heads.get(room)?.seq ?? 0)
    report({ name, room, files, lines, added, unread: [...unread, ...refused] })
    return 0
  } finally {
    redis.disconnect()
    await store.close()
  }
}

function argumentsOf (args: string[]): { room: string, date: string | undefined, files: string[] } {
  const { values: { room, date }, positionals: [format, ...files] } = (() => {
    try {
      return parseArgs({ args, allowPositionals: true, options: { room: { type: 'string' }, date: { type: 'string' } } })
    } catch (error) {
      throw new UsageError((error as Error).message)
    }
  })()
  if (format !== 'irc') throw new UsageError(`The format must be irc${format === undefined ? '' : `, not ${format}`}.`)
  if (room === undefined || room.trim() === '') throw new UsageError('Say which room: --room NAME.')
  if (date !== undefined && !/^\d{4}-\d{2}-\d{2}$/.test(date)) throw new UsageError('--date must be a date like 2004-12-25.')
  if (files.length === 0) throw new UsageError('Say which files.')
  const names = files.map(file => basename(file))
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw new UsageError(`Two files are named ${twice}: lines are known by their file's name.`)
  return { room, date, files }
}

async function readFiles (files: string[], date: string | undefined): Promise<{ lines: Line[], unread: Unread[] }> {
  const lines: Line[] = []
  const unread: Unread[] = []
  for (const path of files) {
    const file = basename(path)
    try {
      const log = parseIrc(await readFile(path, 'utf8'), { file, ...(date === undefined ? {} : { date }) })
      for (const action of log.actions) lines.push({ ...action, file })
      for (const line of log.unread) unread.push({ ...line, file })
    } catch (error) {
      throw new CommandFailed(`${path} cannot be read: ${(error as Error).message}`)
    }
  }
  return { lines, unread }
}

/**
 * Sends window after window; the next begins when the last is in the log. What a window's lines ask for is appended in their
 * order or not at all, so after a fault the log has a part of the window from its beginning: the window is begun again, as
 * a second run would, with those lines left out.
 */
async function send ({ room, lines, users, commands, firstResults }: { room: string, lines: Line[], users: Map<string, string>, commands: Commands, firstResults: FirstResults }): Promise<{ added: Record<string, number>, refused: Unread[] }> {
  const added: Record<string, number> = {}
  const refused: Unread[] = []
  const inside = new Set<string>() // known to be in the room, by what this run has seen
  const session = randomUUID()
  const progress = createProgress({ total: lines.length, what: 'lines' })

  async function sendWindow (window: Array<{ line: Line, steps: Step[] }>): Promise<void> {
    const own = window.map(({ steps }) => ({ author: steps.at(-1)!.user_id, client_id: steps.at(-1)!.key }))
    const found = await firstResults(room, own)
    const asked = window.filter((_, i) => !found.has(keyOf(own[i]!))).flatMap(({ line, steps }) => steps.filter(step => isNeeded(step, inside)).map(step => ({ line, step })))
    // Not awaited one by one: the order of these calls is the order in the log.
    const outcomes = await Promise.all(asked.map(async ({ step: { user_id, command, key, at } }) => await commands.execute({ command, user_id, session, client_id: key, resend: true, at })))
    for (const [i, outcome] of outcomes.entries()) if (outcome.ok && outcome.changed && !outcome.duplicate) added[asked[i]!.step.command.type] = (added[asked[i]!.step.command.type] ?? 0) + 1
    for (const [i, outcome] of outcomes.entries()) {
      const { line, step } = asked[i]!
      if (outcome.ok) continue
      if (REJECTIONS[outcome.rejection.code].retry) throw new Error(outcome.rejection.message)
      if (!step.mayFail) refused.push({ file: line.file, line: line.line, text: line.content ?? line.kind, why: `${outcome.rejection.code}: ${outcome.rejection.message}` })
    }
  }

  for (let from = 0; from < lines.length; from += WINDOW) {
    const window = lines.slice(from, from + WINDOW).map(line => ({ line, steps: stepsOf(line, room, users) })).filter(({ steps }) => steps.length > 0)
    await persistently(async () => { await sendWindow(window) }, () => { inside.clear() })
    progress.at(Math.min(from + WINDOW, lines.length))
  }
  progress.end()
  return { added, refused }
}

/** Tries again what failed, for as long as a restart of Redis or Postgres may take. Throws CommandFailed. */
async function persistently<T> (attempt: () => Promise<T>, onFailure: () => void = () => {}): Promise<T> {
  for (const deadline = Date.now() + PATIENCE_MS; ;) {
    try {
      return await attempt()
    } catch (error) {
      onFailure()
      if (error instanceof CommandFailed) throw error
      if (Date.now() > deadline) throw new CommandFailed(`Redis or Postgres cannot be reached: ${(error as Error).message}. Run the same command again: it goes on where it was.`)
      await sleep(RETRY_MS)
    }
  }
}

/**
 * What a line asks for; the last step is the line's own event, which always is one, so that its key tells whether the line
 * was imported. Steps before it bring the user into the state that it needs: those that change nothing leave no event.
 */
function stepsOf ({ file, line, at, kind, nick, to, content }: Line, room_id: string, users: Map<string, string>): Step[] {
  const step = (who: string, type: 'join' | 'leave', suffix: string, mayFail = true): Step => ({ user_id: users.get(who)!, command: { type, room_id }, key: `${file}:${line}${suffix}`, at: Date.parse(at), mayFail })
  switch (kind) {
    case 'message':
      return [step(nick, 'join', ':in'), { ...step(nick, 'join', '', false), command: { type: 'message', room_id, content: content! } }]
    case 'join': // who joins while inside has left unseen
      return [step(nick, 'leave', ':out'), step(nick, 'join', '', false)]
    case 'leave':
      return [step(nick, 'join', ':in'), step(nick, 'leave', '', false)]
    case 'rename':
      if (to === undefined || users.get(nick) === users.get(to)) return []
      return [step(nick, 'leave', ':out'), step(to, 'leave', ':over'), step(to, 'join', '', false)]
  }
}

/** Leaves out a joining of somebody who is known to be inside; keeps the books. */
function isNeeded ({ user_id, command }: Step, inside: Set<string>): boolean {
  if (command.type === 'leave') inside.delete(user_id)
  else if (command.type === 'join' && inside.has(user_id)) return false
  else inside.add(user_id)
  return true
}

async function untilProjected (store: Store, room: string, head: number): Promise<void> {
  const progress = createProgress({ total: head, what: 'events projected' })
  let movedAt = Date.now()
  for (let last = -1; ;) {
    const applied = await persistently(async () => await Promise.all([ARCHIVE, HISTORY].map(async projection => (await appliedSeqs(store, projection, [room])).get(room) ?? 0)))
    const least = Math.min(...applied)
    progress.at(least)
    if (least >= head) return progress.end()
    if (least > last) movedAt = Date.now()
    last = least
    if (Date.now() - movedAt > STALLED_MS) throw new CommandFailed(`All is in the log, but the projections stand at ${least} of ${head}: is a projector running? See millrace park list.`)
    await sleep(100)
  }
}

function report ({ name, room, files, lines, added, unread }: { name: string, room: string, files: string[], lines: Line[], added: Record<string, number>, unread: Unread[] }): void {
  const counts = [`${added.message ?? 0} messages`, `${added.join ?? 0} joins`, `${added.leave ?? 0} leaves`].join(', ')
  process.stdout.write(`Imported ${files.length} file${files.length === 1 ? '' : 's'} into ${name} (${room}): added ${counts}; ${lines.length} lines read, ${unread.length} not.\n`)
  for (const { file, line, text, why } of unread) process.stdout.write(`${file}:${line}: ${why}: ${JSON.stringify(text.slice(0, 200))}\n`)
}
