/**
 * What the kernel says of a process: CPU seconds spent (all threads, user and system) and resident memory. Linux only.
 */
import { readFileSync } from 'node:fs'

/** Ticks per second of utime and stime: USER_HZ, 100 on every Linux that Node runs on. The kernel scales them to the exact run time, so one reading is at most a tick off. */
const TICKS = 100

/** CPU seconds (utime + stime) of these processes together. */
export function cpuOf (pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ') // the name may hold spaces; field 3 comes first here
    return sum + (Number(fields[11]) + Number(fields[12])) / TICKS
  }, 0)
}

/** Resident bytes (VmRSS). */
export function rssOf (pid: number): number {
  return 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN)
}
