// One fault run: people talk in several rooms while the nemesis follows the schedule of the seed; then all is healed, everybody
// catches up, and the checker judges what was sent, acked, delivered, archived and projected. It takes at most RUN_MS; what has
// not caught up by then has failed. Redis keeps its data throughout, so a `reset` is a failure too.
import { loadavg } from 'node:os'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { naiveHistory } from '../projections/naive.ts'
import { createRandom } from './random.ts'
import { createTeardown, type Rig, type Scene } from './rig.ts'
import { GATEWAYS, scheduleOf, told, type Step } from './schedule.ts'
import { startTalker, type Talker } from './talker.ts'

export const RUN_MS = 15_000
const LOAD_MS = 5000

export interface Run {
  readonly seed: number
  readonly problems: string[]
  readonly schedule: readonly Step[]
  readonly ms: number
  readonly counted: Record<string, unknown>
}

export async function runSeed (rig: Rig, seed: number, say: (line: string) => void = () => {}): Promise<Run> {
  const began = performance.now()
  const since = (): number => Math.round(performance.now() - began)
  const random = createRandom(seed)
  const schedule = scheduleOf(random.fork('nemesis'), LOAD_MS)
  const teardown = createTeardown()
  const scene = rig.scene(teardown)
  const problems: string[] = []
  let talkers: Talker[] = []
  let counted = {}
  const left = (): number => Math.max(100, RUN_MS - 500 - since())

  /** Waits for `what` as long as the run may last; a failure is a problem, and the run goes on, so that the checker says more. */
  async function within (what: string, work: Promise<unknown>): Promise<void> {
    const limit = left()
    const late = sleep(limit, 'late', { ref: false })
    const result = await Promise.race([work.then(() => 'done', (error: Error) => `${what} failed: ${error.message}`), late])
    if (result === 'late') problems.push(`${what} was not done ${since()} ms after the start`)
    else if (result !== 'done') problems.push(result)
    say(`${since()} ms: ${what}: ${result}`)
  }

  try {
    talkers = await people(scene, random.fork('people'))
    say(`${since()} ms: ${talkers.length} people in ${scene.rooms.size} rooms`)
    const steps = schedule.map(async step => {
      await sleep(step.at)
      say(`${since()} ms: ${told(step)}`)
      await rig.inflict(step)
    })
    await sleep(LOAD_MS)
    await within('every fault undone', Promise.all(steps))
    await within('healing', rig.heal().then(died => { problems.push(...died) }))
    await within('everything said and acked', Promise.all(talkers.map(async talker => { await talker.finish() })))
    const { heads } = await rig.log.heads([...scene.rooms])
    await within('everybody at the head', Promise.all(talkers.map(async talker => { await talker.heard(heads) })))
    await within('the projections at the head', scene.projected(left()))
    const judgement = await scene.judge({ wait: false })
    counted = { ...judgement.counted, reconnects: talkers.reduce((sum, { reconnects }) => sum + reconnects(), 0) }
    problems.push(...judgement.problems, ...talkers.flatMap(({ complaints }) => complaints), ...await parked(rig, scene), ...await membersOff(rig, scene))
    if (judgement.counted.resets > 0) problems.push(`${judgement.counted.resets} resets, though Redis kept its data`)
    if (judgement.counted.acked === 0) problems.push('nothing was acked: the run proves nothing')
  } catch (error) {
    problems.push(`the run broke: ${(error as Error).stack ?? String(error)}`)
  } finally {
    for (const talker of talkers) talker.leave()
    await teardown.end()
    await rig.forget()
  }
  if (since() > RUN_MS) problems.push(`the run took ${since()} ms, more than ${RUN_MS}`)
  return { seed, problems, schedule, ms: since(), counted }
}

/** Two to four rooms, four to eight people; all that is asked here happens before the first fault. */
async function people (scene: Scene, random: ReturnType<typeof createRandom>): Promise<Talker[]> {
  const users = await Promise.all(Array.from({ length: random.int(4, 8) }, async () => await scene.signup()))
  const rooms = await Promise.all(Array.from({ length: random.int(2, 4) }, async () => await scene.room(users[0]!.access_token)))
  return await Promise.all(users.map(async ({ access_token: token }, i) => {
    const mine = i < 2 ? rooms : random.shuffled(rooms).slice(0, random.int(1, rooms.length))
    const kind = i < 3 ? 'talk' : random.pick(['talk', 'listen', 'wander', 'post'] as const)
    for (const room of mine) {
      const { status } = await scene.api(i).post(`/rooms/${room}/join`, {}, token)
      if (status >= 300) throw new Error(`${room} could not be joined: ${status}`)
    }
    return startTalker({ scene, random: random.fork(`person ${i}`), name: `person ${i}`, token, rooms: mine, kind, gateways: GATEWAYS, talksMs: random.int(LOAD_MS * 0.4, LOAD_MS) })
  }))
}

/** Nothing here is poison: a parked room is a fault that was taken for one. */
async function parked (rig: Rig, scene: Scene): Promise<string[]> {
  const { rows } = await rig.store.query<{ projection: string, room_id: string, seq: number, error: string }>('SELECT projection, room_id, seq, error FROM parked_rooms WHERE room_id = ANY ($1)', [[...scene.rooms]])
  return rows.map(({ projection, room_id, seq, error }) => `room ${room_id} is parked in ${projection} at seq ${seq}: ${error}`)
}

/** The tables that the checker does not look at: rooms and members are the log folded. */
async function membersOff ({ store }: Rig, { rooms, logOf }: Scene): Promise<string[]> {
  const logs = new Map(await Promise.all([...rooms].map(async room => [room, await logOf(room)] as const)))
  const wanted = naiveHistory(logs)
  const got = {
    rooms: (await store.query('SELECT * FROM rooms WHERE id = ANY ($1) ORDER BY id', [[...rooms]])).rows,
    members: (await store.query('SELECT * FROM members WHERE room_id = ANY ($1) ORDER BY room_id, user_id', [[...rooms]])).rows,
  }
  const off = (['rooms', 'members'] as const).filter(table => !isDeepStrictEqual(JSON.parse(JSON.stringify(got[table])), JSON.parse(JSON.stringify(wanted[table]))))
  return off.map(table => `${table} are ${JSON.stringify(got[table])}, folded they are ${JSON.stringify(wanted[table])}`)
}

export function report ({ seed, problems, schedule, ms, counted }: Run, tails: readonly string[]): string {
  return [
    `seed ${seed} ${problems.length > 0 ? 'failed' : 'passed'} after ${ms} ms`,
    'schedule:', ...schedule.map(step => `  ${told(step)}`),
    'problems:', ...problems.map(problem => `  ${problem}`),
    `counted: ${JSON.stringify(counted)}`,
    `load of the machine: ${loadavg().map(load => load.toFixed(1)).join(' ')}`,
    ...tails,
    `again: npm run faults -- --seed ${seed} -v`,
  ].join('\n')
}
