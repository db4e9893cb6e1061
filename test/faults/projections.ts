// `npm run faults -- projections [--minutes 5] [--seed n]`: real logs are imported, people go on talking, and everything is killed,
// frozen, restarted and cut at random for as long as is said. Then all is healed, and every read model must be what it should be:
// the archive the log, the tables of the history the log folded naïvely, every projection its own rebuild, row by row, and every count
// (unread, not delivered, mentions) the one that is counted naïvely from the log. Redis keeps its data here.
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { PROJECTIONS } from '../../projections/live.ts'
import { isRebuildable, rebuild } from '../../projections/rebuild.ts'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import type { LogEvent } from '../../src/log/codec.ts'
import { http, type Account } from '../client.ts'
import { naiveCounts, naiveMentions } from '../projections/naive-counts.ts'
import { until } from '../until.ts'
import { startActor, type Actor } from './actor.ts'
import { modelsOff, unprojected } from './models.ts'
import { createRandom, type Random } from './random.ts'
import { createTeardown, openRig, type Rig, type Scene } from './rig.ts'
import { scheduleOf, told } from './schedule.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SHARED = join(ROOT, '../shared/data/ubuntu-irc')
const FIXTURES = join(ROOT, 'test/fixtures/irc')
const FILES_PER_ROOM = 6
const PEOPLE = 8
/** Faults are drawn for so long at a time, and all of them undone before the next are drawn. */
const ROUND_MS = 6000
const SETTLED_MS = 180_000
const MENTIONS_MAX = 100
const DIFFERENCES_MAX = 5
const DEVICE = 'phone'

type Say = (line: string) => void

/** Returns what is wrong; nothing is right. */
export async function runProjections ({ minutes, seed, say }: { minutes: number, seed: number, say: Say }): Promise<string[]> {
  const random = createRandom(`projections ${seed}`)
  const teardown = createTeardown()
  try {
    const rig = await openRig(teardown)
    await rig.prepare({ steps: [], trims: true })
    const scene = rig.scene(teardown)
    const imported = await importLogs(rig, say)
    const people: Account[] = []
    while (people.length < PEOPLE) people.push(await until(async () => await scene.signup(`person${people.length}x${randomUUID().slice(0, 6)}`).catch(() => undefined), { everyMs: 500, what: 'somebody to sign up: Postgres is busy with the import yet' }) as Account)
    const rooms = [LOBBY_ID, ...imported, ...await Promise.all([0, 1, 2].map(async i => await scene.room(people[i]!.access_token)))]
    for (const room of rooms) scene.rooms.add(room)
    const actors = people.map((account, i) => startActor({ scene, account, others: people, rooms, device: DEVICE, random: random.fork(`person ${i}`) }))
    teardown.teardown(() => { for (const actor of actors) actor.stop() })

    const faults = await torment(rig, random.fork('nemesis'), minutes, say)
    const problems = await rig.heal()
    await Promise.all(actors.map(async actor => { await actor.finish() }))
    say(`${faults} faults; people did ${actors.reduce((sum, { done }) => sum + done(), 0)} things, and were told ${actors.reduce((sum, { failed }) => sum + failed(), 0)} times that they could not, or nothing at all`)
    await settle(rig, scene)
    return [...problems, ...await verdict(rig, scene, people, actors, say)]
  } finally {
    await teardown.end()
  }
}

/** The shared logs, or where there are none those of the tests; some files to a room. Returns the rooms. */
async function importLogs (rig: Rig, say: Say): Promise<string[]> {
  const dir = existsSync(SHARED) ? SHARED : FIXTURES
  const files = readdirSync(dir).filter(name => name.endsWith('.txt')).map(name => join(dir, name))
  const rooms: string[] = []
  for (let i = 0; i < files.length; i += FILES_PER_ROOM) {
    const child = spawn(process.execPath, [join(ROOT, 'bin/millrace.js'), 'import', 'irc', '--room', `irc ${i / FILES_PER_ROOM + 1}`, '--date', '2008-02-14', ...files.slice(i, i + FILES_PER_ROOM)], { env: { PATH: process.env.PATH, ...rig.environment } })
    let out = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', data => { out += String(data) })
    const [code] = await once(child, 'close') as [number]
    const room = /into .+ \(([0-9a-f-]{36})\)/.exec(out)?.[1]
    if (code !== 0 || room === undefined) throw new Error(`the import ended with ${code}: ${out}`)
    rooms.push(room)
    say(`imported ${Math.min(FILES_PER_ROOM, files.length - i)} logs of ${dir} into ${room}`)
  }
  return rooms
}

/** Returns how many faults there were. */
async function torment (rig: Rig, random: Random, minutes: number, say: Say): Promise<number> {
  const end = performance.now() + minutes * 60_000
  let faults = 0
  for (let round = 1; performance.now() < end; round++) {
    const steps = scheduleOf(random.fork(`round ${round}`), ROUND_MS)
    say(`round ${round}: ${steps.map(step => told(step).trim().replace(/ +/g, ' ')).join('; ')}`)
    await Promise.all(steps.map(async step => {
      await sleep(step.at)
      await rig.inflict(step, async () => {})
    }))
    faults += steps.length
  }
  return faults
}

/** Every room there is, inboxes included. */
async function allRooms ({ store }: Rig): Promise<string[]> {
  return (await store.query<{ room_id: string }>('SELECT DISTINCT room_id FROM checkpoints WHERE seq > 0')).rows.map(({ room_id }) => room_id)
}

/** Until nothing moves: every projection at every head, inboxes written, marks folded. */
async function settle (rig: Rig, scene: Scene): Promise<void> {
  let missing: string[] = []
  await until(async () => {
    const { fenced, heads } = await rig.log.heads([...new Set([...await allRooms(rig), ...scene.rooms])])
    missing = await unprojected(rig.store, heads)
    const { rows: [waiting] } = await rig.store.query<{ tidings: number }>('SELECT count(*) AS tidings FROM inbox_pending')
    const marks = await rig.marksWaiting()
    if (waiting!.tidings > 0) missing.push(`${waiting!.tidings} tidings for inboxes`)
    if (marks > 0) missing.push(`marks of ${marks} partitions`)
    return !fenced && missing.length === 0
  }, { timeoutMs: SETTLED_MS, everyMs: 200, what: 'the read models to be at the heads' }).catch((error: Error) => { throw new Error(`${error.message}: ${missing.slice(0, DIFFERENCES_MAX).join('; ')}`) })
}

async function verdict (rig: Rig, scene: Scene, people: readonly Account[], actors: readonly Actor[], say: Say): Promise<string[]> {
  for (const room of await allRooms(rig)) scene.rooms.add(room)
  const logs = new Map(await Promise.all([...scene.rooms].map(async room => [room, await scene.logOf(room)] as const)))
  const judgement = await scene.judge({ wait: false, expectAllDelivered: false })
  say(`${logs.size} rooms, ${judgement.counted.entries} events, ${judgement.counted.messages} messages in the history`)
  const problems = [...judgement.problems, ...await modelsOff(rig.store, logs)]
  const sums = { unread: 0, named: 0, undelivered: 0, mentions: 0 }
  for (const [i, account] of people.entries()) problems.push(...await countsOff(rig, scene, logs, account, actors[i]!, sums))
  say(`compared with naïve ones: the counts of ${people.length} people, ${sums.unread} unread (${sums.named} of them naming somebody), ${sums.undelivered} not delivered, ${sums.mentions} mentions`)
  return [...problems, ...await rebuildsOff(rig, say)]
}

/** How what is answered to somebody differs from what is counted naïvely. */
async function countsOff ({ store }: Rig, { urlOf, rooms }: Scene, logs: ReadonlyMap<string, readonly LogEvent[]>, { user, access_token: token }: Account, { marks }: Actor, sums: { unread: number, named: number, undelivered: number, mentions: number }): Promise<string[]> {
  const problems: string[] = []
  const { rows: [{ created_at: createdAt } = { created_at: new Date(0) }] } = await store.query<{ created_at: Date }>('SELECT created_at FROM users WHERE id = $1', [user.id])
  const api = http(urlOf(0))
  const get = async (path: string): Promise<any> => {
    const { status, body } = await api.get(path, token)
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`)
    return body
  }
  const differs = (what: string, room: string, got: unknown, wanted: unknown): void => {
    if (JSON.stringify(got) !== JSON.stringify(wanted)) problems.push(`${what} of ${user.username} in room ${room} is ${JSON.stringify(got)}, naïvely ${JSON.stringify(wanted)}`)
  }
  const unread = new Map<string, any>((await get('/unread')).items.map((item: any) => [item.room_id, item]))
  const offline = new Map<string, any>((await get(`/offline?device_id=${DEVICE}`)).items.map((item: any) => [item.room_id, item]))
  for (const room of [...rooms].filter(room => room !== user.id)) {
    const log = logs.get(room)!
    const of = (mark: number) => naiveCounts(log, user.id, { lobby: room === LOBBY_ID, mark, created: createdAt.toISOString() })
    const counted = unread.get(room)
    const mark = counted?.read_seq ?? 0
    const wanted = of(mark)
    differs('unread', room, counted && [counted.unread, Math.min(counted.mentions, MENTIONS_MAX), counted.head_seq], wanted && [wanted.unread, Math.min(wanted.mentions, MENTIONS_MAX), log.length])
    if (counted !== undefined && mark < (marks.get(`read ${room}`) ?? 0)) problems.push(`the read mark of ${user.username} in room ${room} is ${mark}, and was acked at ${marks.get(`read ${room}`)}`)
    sums.unread += counted?.unread ?? 0
    sums.named += counted?.mentions ?? 0
    const missing = offline.get(room)
    sums.undelivered += missing?.count ?? 0
    const delivered = missing === undefined ? log.length : missing.from_seq - 1
    differs('not delivered', room, missing === undefined ? 0 : missing.count, of(delivered)?.standing ?? 0)
    const least = of(marks.get(`delivered ${room}`) ?? 0)?.place
    if (least !== undefined && delivered < least) problems.push(`the delivered mark of ${user.username} in room ${room} is ${delivered}, and was acked at ${marks.get(`delivered ${room}`)}`)
  }
  const named: string[] = []
  for (let page = await get('/mentions?limit=200'); ; page = await get(`/mentions?limit=200&before=${encodeURIComponent(page.next)}`)) {
    named.push(...page.items.map(({ room_id, seq }: any) => `${room_id} ${seq}`))
    if (page.next === null) break
  }
  const wanted = [...rooms].filter(room => room !== user.id && !isInbox(logs.get(room)!)).flatMap(room => naiveMentions(logs.get(room)!, user.id, { lobby: room === LOBBY_ID }).map(seq => `${room} ${seq}`))
  sums.mentions += named.length
  differs('mentions', 'any', named.toSorted(), wanted.toSorted())
  return problems
}

const isInbox = (log: readonly LogEvent[]): boolean => JSON.parse(log[0]!.data).kind === 'inbox'

/** Rebuilds every projection that can be, and compares what is there then with what was. */
async function rebuildsOff (rig: Rig, say: Say): Promise<string[]> {
  const problems: string[] = []
  for (const projection of PROJECTIONS.filter(isRebuildable)) {
    const rebuilt = await rebuild({ projection, store: rig.store, log: rig.log, groups: rig.groups, logger: rig.logger, clock: Date.now, graceMs: 3_600_000, throttle: 0, restart: false, signal: new AbortController().signal, say: () => {}, onProgress: () => {} })
    if (rebuilt === undefined) throw new Error(`${projection.name} was not rebuilt`)
    if (rebuilt.parked > 0) problems.push(`${rebuilt.parked} rooms are parked in the rebuild of ${projection.name}`)
    for (const table of projection.tables) {
      const rows = (schema: string): string => `SELECT one::text AS row FROM ${schema}.${table} AS one`
      const { rows: differences } = await rig.store.query<{ row: string, side: string }>(`
        (SELECT row, 'live' AS side FROM (${rows(rebuilt.retired)} EXCEPT ALL ${rows('public')}) AS only_live LIMIT ${DIFFERENCES_MAX})
        UNION ALL
        (SELECT row, 'rebuilt' FROM (${rows('public')} EXCEPT ALL ${rows(rebuilt.retired)}) AS only_rebuilt LIMIT ${DIFFERENCES_MAX})`)
      for (const { row, side } of differences) problems.push(`${table}: only the ${side} table has ${row.slice(0, 300)}`)
      const { rows: [size] } = await rig.store.query<{ count: number }>(`SELECT count(*) AS count FROM public.${table}`)
      say(`${projection.name}: ${table} has ${size!.count} rows, rebuilt and before${differences.length > 0 ? ', and they differ' : ''}`)
    }
  }
  return problems
}
