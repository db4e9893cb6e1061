// What the nemesis of a seed will do, and when: decided whole before the run, from the seed alone. No part gets two faults at
// the same time, so that each can be undone by itself; several parts may suffer at once.
import type { Random } from './random.ts'

export const GATEWAYS = 2
export const PROJECTORS = 2
const ROLES = ['gateway 0', 'gateway 1', 'projector 0', 'projector 1']
const SERVERS = ['Redis', 'Postgres']
/** Where a proxy stands: who connects, and to what. */
export const LINKS = ['clients–gateway 0', 'clients–gateway 1', ...ROLES.flatMap(role => SERVERS.map(server => `${role}–${server}`))]

const PROCESS_FAULTS = ['kill', 'freeze'] as const
const LINK_FAULTS = ['cut', 'half-open', 'swallow', 'hold', 'refuse'] as const

export type Fault = typeof PROCESS_FAULTS[number] | typeof LINK_FAULTS[number] | 'restart'

export interface Step {
  /** Milliseconds after the load began. */
  readonly at: number
  readonly fault: Fault
  /** A process or a link. */
  readonly on: string
  /** Milliseconds until it is undone: started again, thawed, cut off, let through. */
  readonly forMs: number
}

/** A killed process is not touched again before it has had this time to start. */
const START_MS = 1200
const FIRST_MS = 150

export function scheduleOf (random: Random, loadMs: number): Step[] {
  const steps: Step[] = []
  const lastMs = loadMs * 0.85
  if (random.chance(0.1)) { // the lights go out
    const at = random.int(FIRST_MS, lastMs)
    for (const on of [...ROLES, ...SERVERS]) {
      const forMs = random.int(100, 700)
      steps.push({ at: at + random.int(0, 60), fault: 'kill', on, forMs })
    }
  }
  for (let left = random.int(4, 8), tries = 0; left > 0 && tries < 100; tries++) {
    const step = draw(random, lastMs)
    const end = step.at + step.forMs + (step.fault === 'kill' || step.fault === 'restart' ? START_MS : 100)
    // Each part has one interval at a time; the schedule is short, so looking at all is cheap.
    const overlaps = steps.some(({ on, at, forMs, fault }) => on === step.on && at < end && step.at < at + forMs + (fault === 'kill' || fault === 'restart' ? START_MS : 100))
    if (overlaps) continue
    steps.push(step)
    left -= 1
  }
  return steps.sort((a, b) => a.at - b.at)
}

function draw (random: Random, lastMs: number): Step {
  const at = random.int(FIRST_MS, lastMs)
  const kind = random.next()
  if (kind < 0.3) return { at, fault: random.pick(PROCESS_FAULTS), on: random.pick(ROLES), forMs: random.int(100, 2000) }
  if (kind < 0.45) {
    const fault = random.pick([...PROCESS_FAULTS, 'restart'] as const)
    return { at, fault, on: random.pick(SERVERS), forMs: fault === 'freeze' ? random.int(100, 2500) : random.int(0, 1000) }
  }
  const fault = random.pick(LINK_FAULTS)
  return { at, fault, on: random.pick(LINKS), forMs: fault === 'cut' ? 0 : random.int(100, 2200) }
}

export function told ({ at, fault, on, forMs }: Step): string {
  return `${String(at).padStart(5)} ms  ${fault} ${on}${forMs > 0 ? ` for ${forMs} ms` : ''}`
}
