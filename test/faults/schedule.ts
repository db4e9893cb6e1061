// What the nemesis of a seed will do, and when: decided whole before the run, from the seed alone. No part gets two faults at
// the same time, so that each can be undone by itself; several parts may suffer at once.
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

export type Fault = typeof PROCESS_FAULTS[number] | typeof LINK_FAULTS[number]

export interface Step {
  /** Milliseconds after the load began. */
  readonly at: number
  readonly fault: Fault
  /** A process or a link. */
  readonly on: string
  /** Milliseconds until it is undone: started again, thawed, cut off, let through. */
  readonly forMs: number
}

/** A process that was ended is not touched again before it has had this time to start. */
const START_MS = 1200
/** When the next fault may befall the same part. */
const freeAfter = ({ at, fault, forMs }: Step): number => at + forMs + (fault === 'kill' || fault === 'restart' ? START_MS : 100)
const FIRST_MS = 150

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
    const overlaps = steps.some(other => other.on === step.on && other.at < freeAfter(step) && step.at < freeAfter(other))
    if (overlaps) continue
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
