/**
 * What a scenario comes to: rows of figures, with medians and spread over the rounds, the ratio to the peer (per round, then
 * its median), and whether it reaches its target. Printed, and kept as JSON in `results/`.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Verdict } from './load/evidence.ts'

export const RESULTS = fileURLToPath(new URL('results/', import.meta.url))

export interface Spread { median: number, min: number, max: number }

export interface Row {
  /** Which part of the scenario; rows of one part stand together. */
  part: string
  name: string
  unit: string
  millrace: Spread
  peer?: Spread | undefined
  /** Millrace : peer. */
  ratio?: Spread | undefined
  target?: string | undefined
  holds?: boolean | undefined
}

export interface Result {
  scenario: string
  title: string
  at: string
  quick: boolean
  seconds: number
  machine: ReturnType<typeof machineOf>
  settings: Record<string, unknown>
  rows: Row[]
  verdicts: Record<string, Verdict>
  /** Everything as it was measured. */
  raw: unknown
}

export function spreadOf (values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

/** @param target of the ratio, or of the figure itself where `of` says so */
export function row (part: string, name: string, unit: string, millrace: readonly number[], peer?: readonly number[], target?: { text: string, of: 'ratio' | 'figure', holds: (value: number) => boolean }): Row {
  const ours = spreadOf(millrace)
  const ratio = peer === undefined ? undefined : spreadOf(millrace.map((value, i) => value / peer[i]!))
  const judged = target?.of === 'ratio' ? ratio?.median : ours.median
  return {
    part,
    name,
    unit,
    millrace: ours,
    ...(peer === undefined ? {} : { peer: spreadOf(peer), ratio }),
    ...(target === undefined ? {} : { target: target.text, holds: judged === undefined ? undefined : target.holds(judged) }),
  }
}

export const atLeast = (ratio: number) => ({ text: `≥ ${ratio} ×`, of: 'ratio', holds: (value: number) => value >= ratio } as const)
export const oneOver = (n: number) => ({ text: `≤ 1/${n}`, of: 'ratio', holds: (value: number) => value <= 1 / n } as const)
export const atMost = (limit: number, unit: string) => ({ text: `≤ ${limit} ${unit}`, of: 'figure', holds: (value: number) => value <= limit } as const)

const first = (text: string, pattern: RegExp): string => pattern.exec(text)?.[1] ?? '?'

export function machineOf ({ dataDir, redisVersion }: { dataDir: string, redisVersion: string }) {
  const version = (name: string): string => {
    try {
      return String((JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), 'utf8')) as { version: string }).version)
    } catch {
      return 'not installed'
    }
  }
  return {
    cpu: cpus()[0]?.model ?? '?',
    cores: cpus().length,
    memory_gb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    redis: redisVersion,
    socket_io: version('socket.io'),
    streams_adapter: version('@socket.io/redis-streams-adapter'),
    data: execFileSync('df', ['--output=fstype', dataDir], { encoding: 'utf8' }).trim().split('\n').at(-1) ?? '?',
    load_average_before: first(readFileSync('/proc/loadavg', 'utf8'), /^(\S+)/),
  }
}

export function keep (result: Result): string {
  mkdirSync(RESULTS, { recursive: true })
  const path = `${RESULTS}${result.scenario}.json`
  writeFileSync(path, `${JSON.stringify(result, (_, value: unknown) => typeof value === 'number' ? Number(value.toPrecision(6)) : value, 1)}\n`)
  return path
}

/** A number as a person reads it. */
export function figure (value: number): string {
  if (!Number.isFinite(value)) return '–'
  const size = Math.abs(value)
  if (size >= 1000) return Math.round(value).toLocaleString('en-US')
  return String(Number(value.toPrecision(3)))
}

const range = ({ median, min, max }: Spread): string => min === max ? figure(median) : `${figure(median)} (${figure(min)}–${figure(max)})`

export function ratioText (ratio: Spread | undefined): string {
  if (ratio === undefined) return ''
  const one = (value: number): string => value >= 1 || value === 0 ? `${figure(value)} ×` : `1/${figure(1 / value)}`
  return ratio.min === ratio.max ? one(ratio.median) : `${one(ratio.median)} (${one(ratio.min)} to ${one(ratio.max)})`
}

export const HEAD = ['', 'Millrace', 'Socket.IO', 'ratio', 'target', '']

export function cells ({ name, unit, millrace, peer, ratio, target, holds }: Row): string[] {
  return [unit === '' ? name : `${name}, ${unit}`, range(millrace), peer === undefined ? '' : range(peer), ratioText(ratio), target ?? '', holds === undefined ? '' : holds ? 'holds' : 'MISSED']
}

/** The rows as a table for a terminal. */
export function print (result: Result, say: (line: string) => void): void {
  const table = [HEAD, ...result.rows.map(cells)]
  const widths = HEAD.map((_, i) => Math.max(...table.map(line => line[i]!.length)))
  let part = ''
  const line = (texts: string[]): string => texts.map((text, i) => text.padEnd(widths[i]!)).join('  ').trimEnd()
  say(`\n${result.title}\n${line(HEAD)}`)
  for (const row of result.rows) {
    if (row.part !== part) say(`- ${part = row.part}`)
    say(line(cells(row)))
  }
  for (const [who, { ok, checked, problems }] of Object.entries(result.verdicts)) {
    say(`${who}: ${ok ? 'accepted' : 'VOID'}: ${checked.all_received} deliveries to ${checked.all_sockets} subscriptions were in order and complete${checked.entries > 0 ? `; the checker judged ${checked.entries} log entries, ${checked.acked} acks and ${checked.delivered} deliveries of ${checked.sampled_rooms} rooms and ${checked.sampled_sockets} sockets in full` : ''}`)
    for (const problem of problems) say(`  ${problem}`)
  }
}
