// What the nemesis of a seed will do, and when: decided whole before the run, from the seed alone. No part gets two faults at
// the same time, so that each can be undone by itself; several parts may suffer at once. In half of the seeds Redis keeps its
// data, in the other half it loses some; in half of them streams are trimmed short and idle rooms let go of at once.
import type { Random } from './random.ts'

export const GATEWAYS = 2
export const PROJECTORS = 2
const ROLES = ['gateway 0', 'gateway 1', 'projector 0', 'projector 1']
const SERVERS = ['Redis', 'Postgres']
/** Where a proxy stands: who connects, and to what. */
export const LINKS = ['clients–gateway 0', 'clients–gateway 1', ...ROLES.flatMap(role => SERVERS.map(server => `${role}–${server}`))]

/** `restart` ends a process in order (SIGTERM) and starts it again. */
const PROCESS_FAULTS = ['kill', 'kill', 'freeze', 'freeze', 'restart'] as const
const LINK_FAULTS = ['cut', 'half-open', 'swallow', 'hold', 'refuse'] as const
/**
 * Ways in which Redis loses what it had acknowledged: `flush` (all of it), `cut short` (its AOF, by what came in `forMs`), `roll back` (to a
 * copy that is `forMs` old), `fail over` (to a replica that lags by `forMs`), `wake` (an old master that was frozen for half of `forMs` serves
 * some of the processes for the other half, while a replica was promoted and serves the others).
 */
export const LOSSES = ['flush', 'cut short', 'roll back', 'fail over', 'wake'] as const

export type Loss = typeof LOSSES[number]
export type Fault = typeof PROCESS_FAULTS[number] | typeof LINK_FAULTS[number] | Loss

export const isLoss = (fault: Fault): fault is Loss => (LOSSES as readonly string[]).includes(fault)

export interface Step {
  /** Milliseconds after the load began. */
  readonly at: number
  readonly fault: Fault
  /** A process or a link. */
  readonly on: string
  /** Milliseconds until it is undone: started again, thawed, cut off, let through. */
  readonly forMs: number
  /** Of a `wake`: number of the gateway and of the projector that stay with the old master. */
  readonly stays?: number
}

export interface Plan {
  readonly steps: readonly Step[]
  /** Whether streams are trimmed short, and rooms that are idle for a second let go of. */
  readonly trims: boolean
}

/** A process that was ended is not touched again before it has had this time to start. */
const START_MS = 1200
/** When the next fault may befall the same part. */
const freeAfter = ({ at, fault, forMs }: Step): number => at + forMs + (fault === 'kill' || fault === 'restart' || isLoss(fault) ? START_MS : 100)
const overlap = (one: Step, other: Step): boolean => one.on === other.on && other.at < freeAfter(one) && one.at < freeAfter(other)
const FIRST_MS = 150
/** Faults besides, where Redis loses data: enough happens. */
const BESIDES_MAX = 5

/** All that a seed decides before it begins. */
export function planOf (random: Random, loadMs: number): Plan {
  const steps = scheduleOf(random.fork('nemesis'), loadMs)
  const losses = lossesOf(random.fork('losses'), loadMs)
  const besides = losses.length === 0 ? steps : steps.filter(step => !losses.some(loss => overlap(step, loss))).slice(0, BESIDES_MAX)
  return { steps: [...besides, ...losses].sort((a, b) => a.at - b.at), trims: random.fork('storage').chance(0.5) }
}

function lossesOf (random: Random, loadMs: number): Step[] {
  if (random.chance(0.5)) return []
  const losses: Step[] = []
  for (let left = random.chance(0.25) ? 2 : 1, tries = 0; left > 0 && tries < 100; tries++) {
    const fault = random.pick(LOSSES)
    const loss: Step = { at: random.int(FIRST_MS + 500, loadMs * 0.8), fault, on: 'Redis', forMs: fault === 'flush' ? 0 : fault === 'wake' ? random.int(600, 2500) : random.int(50, 1500), ...(fault === 'wake' && { stays: random.int(0, 1) }) }
    if (losses.some(other => overlap(loss, other))) continue
    losses.push(loss)
    left -= 1
  }
  return losses
}

export function scheduleOf (random: Random, loadMs: number): Step[] {
  const steps: Step[] = []
  if (random.chance(0.1)) { // the lights go out
    const at = random.int(FIRST_MS, loadMs)
    for (const on of [...ROLES, ...SERVERS]) {
      const forMs = random.int(100, 700)
      steps.push({ at: at + random.int(0, 60), fault: 'kill', on, forMs })
    }
  }
  for (let left = random.int(5, 9), tries = 0; left > 0 && tries < 100; tries++) {
    const step = draw(random, loadMs)
    if (steps.some(other => overlap(step, other))) continue
    steps.push(step)
    left -= 1
  }
  return steps.sort((a, b) => a.at - b.at)
}

function draw (random: Random, loadMs: number): Step {
  const at = random.int(FIRST_MS, loadMs)
  const kind = random.next()
  if (kind < 0.5) {
    const on = random.pick(kind < 0.33 ? ROLES : SERVERS)
    const fault = random.pick(PROCESS_FAULTS)
    return { at, fault, on, forMs: fault === 'freeze' ? random.int(100, 2500) : fault === 'kill' ? random.int(0, 1500) : 0 }
  }
  const fault = random.pick(LINK_FAULTS)
  return { at, fault, on: random.pick(LINKS), forMs: fault === 'cut' ? 0 : random.int(100, 2200) }
}

export function told ({ at, fault, on, forMs }: Step): string {
  return `${String(at).padStart(5)} ms  ${fault} ${on}${forMs > 0 ? ` for ${forMs} ms` : ''}`
}
