// One fault run: people talk in several rooms while the nemesis follows the schedule of the seed; then all is healed, everybody
// catches up, and the checker judges what was sent, acked, delivered, archived and projected. It takes at most RUN_MS; what has
// not caught up by then has failed. Where Redis kept its data a `reset` is a failure too; where it did not, whoever held what is
// lost must have been told, what was archived must be back in its place, and all must end up with the log as it is.
import { availableParallelism, loadavg } from 'node:os'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { startClientTalker } from './client-talker.ts'
import { modelsOff, unprojected } from './models.ts'
import { createRandom, type Random } from './random.ts'
import { createTeardown, type Rig, type Scene } from './rig.ts'
import { GATEWAYS, isLoss, planOf, told, type Loss, type Plan, type Step } from './schedule.ts'
import { startTalker, type Talker } from './talker.ts'
import { until } from '../until.ts'

export const RUN_MS = 15_000
/** Where data is lost, connections that waited for what is gone have to find out, and rooms to be put back. */
export const LOSING_RUN_MS = 30_000
/** What the archive had when data was lost is asked of a Postgres that may itself be away. */
const ARCHIVED_MS = 500
const LOAD_MS = 5000
const MISSING_TOLD_MAX = 5
const SLOWNESS_MAX = 4

export interface Run {
  readonly seed: number
  readonly problems: string[]
  readonly schedule: readonly Step[]
  readonly trims: boolean
  readonly ms: number
  readonly counted: Record<string, unknown>
}

export async function runSeed (rig: Rig, seed: number, say: (line: string) => void = () => {}): Promise<Run> {
  const random = createRandom(seed)
  const plan = planOf(random, LOAD_MS)
  const { steps: schedule, trims } = plan
  const loses = schedule.some(({ fault }) => isLoss(fault))
  const runMs = (loses ? LOSING_RUN_MS : RUN_MS) * slowness()
  const teardown = createTeardown()
  const scene = rig.scene(teardown)
  const problems: string[] = []
  const before = createBefore(rig, scene)
  let talkers: Talker[] = []
  let counted = {}
  let began = performance.now()
  const since = (): number => Math.round(performance.now() - began)
  const left = (): number => Math.max(100, runMs - 500 - since())

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
    await rig.prepare(plan)
    began = performance.now()
    talkers = await people(scene, random.fork('people'), plan, line => { say(`${since()} ms: ${line}`) })
    say(`${since()} ms: ${talkers.length} people in ${scene.rooms.size} rooms`)
    const steps = schedule.map(async step => {
      await sleep(step.at)
      say(`${since()} ms: ${told(step)}`)
      await rig.inflict(step, before.note)
    })
    const undone = Promise.all(steps)
    undone.catch(() => {}) // told when it is waited for
    await sleep(LOAD_MS)
    await within('every fault undone', undone)
    await within('healing', rig.heal().then(died => { problems.push(...died) }))
    await within('everything said, acked, heard and projected', settled(rig, scene, talkers, left))
    for (const talker of talkers) talker.tell()
    const judgement = await scene.judge({ wait: false, lost: loses })
    counted = { ...judgement.counted, reconnects: talkers.reduce((sum, { reconnects }) => sum + reconnects(), 0) }
    problems.push(...judgement.problems, ...talkers.flatMap(({ complaints }) => complaints), ...await parked(rig, scene), ...await modelsOff(rig.store, new Map(await Promise.all([...scene.rooms].map(async room => [room, await scene.logOf(room)] as const)))), ...await before.missing())
    if (judgement.counted.resets > 0 && !loses) problems.push(`${judgement.counted.resets} resets, though Redis kept its data`)
    if (judgement.counted.acked === 0) problems.push('nothing was acked: the run proves nothing')
  } catch (error) {
    problems.push(`the run broke: ${(error as Error).stack ?? String(error)}`)
  } finally {
    for (const talker of talkers) talker.leave()
    await teardown.end()
    await rig.forget()
  }
  if (since() > runMs) problems.push(`the run took ${since()} ms, more than ${runMs}`)
  return { seed, problems, schedule, trims, ms: since(), counted }
}

/** How much longer everything takes when the machine has other work: 1 when it is free. */
const slowness = (): number => Math.min(SLOWNESS_MAX, Math.max(1, loadavg()[0]! / availableParallelism() / 2))

/**
 * Everybody falls silent; resolves when nobody waits for anything any more, and all have heard everything and every projection has
 * it, while no head moved: rooms may yet be put right while all others rest. Throws with what is missing.
 */
async function settled (rig: Rig, scene: Scene, talkers: readonly Talker[], left: () => number): Promise<void> {
  const { log } = rig
  const { rooms } = scene
  for (const talker of talkers) talker.finish()
  const deadline = performance.now() + left() - 200
  for (let heads = await log.heads([...rooms]); ; await sleep(50)) {
    const missing = [...talkers.flatMap(talker => talker.waitsFor(heads.heads)), ...await unprojected(rig.store, heads.heads)]
    const now = await log.heads([...rooms])
    if (missing.length === 0 && !now.fenced && isDeepStrictEqual(now.heads, heads.heads)) return
    heads = now
    if (performance.now() > deadline) throw new Error(missing.slice(0, MISSING_TOLD_MAX).join('; ') || 'the heads do not rest')
  }
}

/** What the archive had when data was about to be lost: in the end it must be in the log, in the same places. */
function createBefore ({ store }: Rig, { rooms, logOf }: Scene) {
  const archived: Array<{ room_id: string, seq: number, chain: string, loss: Loss }> = []
  let isOver = false
  return {
    /** After a `wake` no more: what was archived of the branch that does not stand is set aside. */
    async note (loss: Loss): Promise<void> {
      if (isOver) return
      isOver = loss === 'wake'
      const found = store.query<{ room_id: string, seq: number, chain: string }>("SELECT room_id, seq, chain FROM checkpoints WHERE projection = 'archive_v1' AND room_id = ANY ($1)", [[...rooms]])
      const result = await Promise.race([found.catch(() => undefined), sleep(ARCHIVED_MS)])
      for (const row of result?.rows ?? []) archived.push({ ...row, loss })
    },
    async missing (): Promise<string[]> {
      const problems: string[] = []
      for (const { room_id, seq, chain, loss } of archived) {
        const entry = (await logOf(room_id))[seq - 1]
        if (seq > 0 && entry?.chain !== chain) problems.push(`room ${room_id} had chain ${chain} at seq ${seq} in the archive before the loss (${loss}), the log has ${entry?.chain ?? 'nothing'} there`)
      }
      return problems
    },
  }
}

const asked = async <T>(what: string, ask: () => Promise<T>): Promise<T> => await until(async () => await ask().catch(() => undefined), { everyMs: 300, what }) as T

/** Two to four rooms, four to eight people; all that is asked here happens before the first fault, but maybe on a machine that is busy. */
async function people (scene: Scene, random: Random, { steps }: Plan, note: (line: string) => void): Promise<Talker[]> {
  const users = await Promise.all(Array.from({ length: random.int(4, 8) }, async () => await asked('a sign-up', async () => await scene.signup())))
  const rooms = await Promise.all(Array.from({ length: random.int(2, 4) }, async () => await asked('a room', async () => await scene.room(users[0]!.access_token))))
  const loses = steps.some(({ fault }) => isLoss(fault))
  const drawn = users.map(({ access_token: token }, i) => {
    const mine = i < 2 ? rooms : random.shuffled(rooms).slice(0, random.int(1, rooms.length))
    const kind = i < 2 ? 'talk' : i < 4 ? 'client' : random.pick(['talk', 'listen', 'wander', 'post', 'client'] as const)
    return { scene, random: random.fork(`person ${i}`), name: `person ${i}`, token, rooms: mine, kind, gateways: GATEWAYS, talksMs: random.int(LOAD_MS * 0.4, LOAD_MS), loses, note }
  })
  await Promise.all(drawn.map(async ({ rooms, token }, i) => {
    for (const room of rooms) {
      await asked('a join', async () => (await scene.api(i).post(`/rooms/${room}/join`, {}, token)).status < 300)
    }
  }))
  if (loses) await scene.projected() // a room that nobody has archived would be gone without a trace, and with it who is in it
  return drawn.map(options => options.kind === 'client' ? startClientTalker(options) : startTalker(options))
}

/** Nothing here is poison: a parked room is a fault that was taken for one. */
async function parked (rig: Rig, scene: Scene): Promise<string[]> {
  const { rows } = await rig.store.query<{ projection: string, room_id: string, seq: number, error: string }>('SELECT projection, room_id, seq, error FROM parked_rooms WHERE room_id = ANY ($1)', [[...scene.rooms]])
  return rows.map(({ projection, room_id, seq, error }) => `room ${room_id} is parked in ${projection} at seq ${seq}: ${error}`)
}

export function report ({ seed, problems, schedule, trims, ms, counted }: Run, tails: readonly string[]): string {
  return [
    `seed ${seed} ${problems.length > 0 ? 'failed' : 'passed'} after ${ms} ms`,
    `schedule${trims ? ', with streams trimmed short and rooms let go of' : ''}:`, ...schedule.map(step => `  ${told(step)}`),
    'problems:', ...problems.map(problem => `  ${problem}`),
    `counted: ${JSON.stringify(counted)}`,
    `load of the machine: ${loadavg().map(load => load.toFixed(1)).join(' ')}`,
    ...tails,
    `again: npm run faults -- --seed ${seed} -v`,
  ].join('\n')
}
