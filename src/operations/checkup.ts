/**
 * What a checkup finds, and how settings are judged: each check names what it looked at, what it found, whether that is well, and where
 * not, why it matters and the line of configuration to change. Pure but for its callers in `checkup-*.ts`.
 */

/** `wrong`: it will lose data, refuse work or not start. `better`: it works, and something would make it safer. `unknown`: it could not be seen. */
export type Verdict = 'well' | 'better' | 'wrong' | 'unknown'

export interface Check {
  readonly part: 'redis' | 'postgres' | 'deployment' | 'host'
  /** What was looked at. */
  readonly name: string
  readonly found: string
  readonly verdict: Verdict
  /** Why it matters; only where it is not well. */
  readonly why?: string
  /** The line to change, as its configuration file or shell has it. */
  readonly change?: string
}

/** A check that is well, or what `else` says. */
export function check (part: Check['part'], name: string, found: string, well: boolean, otherwise: { readonly verdict?: Verdict, readonly why: string, readonly change?: string }): Check {
  return well ? { part, name, found, verdict: 'well' } : { part, name, found, verdict: 'wrong', ...otherwise }
}

export const MB = 1024 ** 2
export const GB = 1024 ** 3

/** As people read sizes. */
export function sizeOf (bytes: number): string {
  return bytes >= GB ? `${(bytes / GB).toFixed(1)} GB` : `${Math.round(bytes / MB)} MB`
}

/** Clocks may differ by so much: tokens, leases and ages of events are compared between them. */
const SKEW_MS_MAX = 1000

/** Whether a clock agrees with this host's. @param errorMs half of the time that asking took */
export function clockCheck (part: Check['part'], name: string, skewMs: number, errorMs: number): Check {
  const found = `${skewMs < 0 ? 'behind' : 'ahead of'} this host by ${Math.abs(Math.round(skewMs))} ms (± ${Math.max(1, Math.round(errorMs))} ms)`
  return check(part, name, Math.abs(skewMs) <= errorMs + 1 ? 'as this host' : found, Math.abs(skewMs) <= SKEW_MS_MAX + errorMs, {
    why: 'times of events, tokens and bans are stamped and compared by several clocks',
    change: 'chronyc makestep   # on the host whose clock is off; then keep chronyd running',
  })
}

/** Free space that a server needs to go on writing. */
const FREE_BYTES_MIN = GB
const FREE_SHARE_MIN = 0.05

export function diskCheck (part: Check['part'], dir: string, { free, size }: { free: number, size: number }): Check {
  return check(part, 'free disk', `${sizeOf(free)} of ${sizeOf(size)} free at ${dir}`, free >= FREE_BYTES_MIN && free >= FREE_SHARE_MIN * size, {
    why: 'a full disk stops appends and projections',
    change: `df -h ${dir}   # make room, or move it to a larger disk`,
  })
}
