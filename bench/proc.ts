/**
 * What the kernel says of a process: CPU seconds spent (all threads, user and system) and resident memory. Linux only.
 */
import { readFileSync } from 'node:fs'

/** Ticks per second of utime and stime: USER_HZ, 100 on every Linux that Node runs on. The kernel scales them to the exact run time, so one reading is at most a tick off. */
const TICKS = 100

/** CPU seconds (utime + stime) of these processes together, and of children of theirs that have ended. One that has ended itself counts nothing. */
export function cpuOf (pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const stat = statOf(pid)
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ') // the name may hold spaces; field 3 comes first here
    return sum + fields.slice(11, 15).reduce((ticks, field) => ticks + Number(field), 0) / TICKS
  }, 0)
}

/** Empty for a process that is gone: a worker of Postgres may end between being listed and being looked at. */
function statOf (pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return ''
    throw error
  }
}

/** Resident bytes (VmRSS). */
export function rssOf (pid: number): number {
  return 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN)
}
