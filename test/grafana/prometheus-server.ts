// A real Prometheus for a test, with grafana/prometheus.yml and grafana/alerts.yml as they are but for times: it asks and judges every
// second, and an alert fires after one. Asks as Grafana does: variables replaced, lines over a range, numbers now.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { freePort } from '../../src/dev/ports.ts'
import { BASE, watch } from '../dev/servers.ts'
import type { Teardown } from '../e2e/world.ts'
import { programOf } from '../ship/compose.ts'
import { until } from '../until.ts'
import { read, type Json } from './files.ts'

const SCRAPE_S = 1
/** What Grafana makes of $__rate_interval: four scrapes, where points are close. */
const RATE_INTERVAL = `${4 * SCRAPE_S}s`

export interface Firing { readonly name: string, readonly labels: Record<string, string>, readonly annotations: Record<string, string> }
export type Prometheus = Awaited<ReturnType<typeof startPrometheus>>

/** `targets`: host and port of each process of Millrace. */
export async function startPrometheus (t: Teardown, targets: string[]) {
  const dir = mkdtempSync(join(BASE, 'millrace-prometheus-'))
  watch(dir)
  const listen = `127.0.0.1:${await freePort()}`
  const config = parse(read('grafana/prometheus.yml')) as { global: object, scrape_configs: Array<{ job_name: string, static_configs: object }> }
  const [millrace] = config.scrape_configs.filter(({ job_name }) => job_name === 'millrace')
  writeFileSync(join(dir, 'prometheus.yml'), stringify({
    ...config,
    global: { scrape_interval: `${SCRAPE_S}s`, scrape_timeout: `${SCRAPE_S}s`, evaluation_interval: '1s' },
    scrape_configs: [{ ...millrace, static_configs: [{ targets }] }],
  }))
  writeFileSync(join(dir, 'alerts.yml'), read('grafana/alerts.yml').replaceAll(/^( +for): \w+$/gm, '$1: 1s'))
  const child = spawn(programOf('prometheus') ?? 'prometheus', [`--config.file=${join(dir, 'prometheus.yml')}`, `--storage.tsdb.path=${join(dir, 'data')}`, `--web.listen-address=${listen}`], { stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  child.stderr.on('data', data => { output = (output + String(data)).slice(-20_000) })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
    rmSync(dir, { recursive: true, force: true })
  })
  const url = `http://${listen}/api/v1`
  const startedAt = Date.now() / 1000

  /** Throws what Prometheus says is wrong. */
  async function ask (path: string, params: Record<string, string> = {}): Promise<any> {
    const response = await fetch(`${url}/${path}?${new URLSearchParams(params)}`)
    const { status, data, error } = await response.json() as { status: string, data: unknown, error?: string }
    if (status !== 'success') throw new Error(error)
    return data
  }

  await until(async () => {
    if (child.exitCode !== null) throw new Error(`prometheus ended: ${output}`)
    return await fetch(`http://${listen}/-/ready`).then(({ ok }) => ok, () => false)
  }, { timeoutMs: 60_000, what: 'prometheus to be ready' })

  /** The values of the dashboard's variables, all of them chosen. */
  async function variablesOf (dashboard: Json): Promise<Map<string, string[]>> {
    const values = new Map<string, string[]>()
    for (const { name, type, definition } of dashboard.templating.list) {
      if (type !== 'query') continue
      const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(definition) ?? []
      values.set(name, await ask(`label/${label}/values`, { 'match[]': replaced(selector!, values) }))
    }
    return values
  }

  /** Whether a panel shows anything; throws if the query is wrong. Values that are no number are nothing. */
  async function shows (expr: string, { instant }: { instant: boolean }): Promise<boolean> {
    const now = Date.now() / 1000
    const { result } = instant
      ? await ask('query', { query: expr })
      : await ask('query_range', { query: expr, start: String(startedAt), end: String(now), step: '1' })
    return result.some(({ value, values = [value] }: { value: [number, string], values?: Array<[number, string]> }) => values.some(([, text]) => text !== 'NaN'))
  }

  return {
    ask,
    variablesOf,
    shows,
    /** How many series there were since it was started. */
    seen: async (selector: string): Promise<number> => (await ask('series', { 'match[]': selector, start: String(startedAt) })).length,
    firing: async (): Promise<Firing[]> => (await ask('alerts')).alerts.filter(({ state }: { state: string }) => state === 'firing').map(({ labels, annotations }: Omit<Firing, 'name'>) => ({ name: labels.alertname, labels, annotations })),
  }
}

/** As Grafana replaces variables: several values become a regular expression. */
export function replaced (expr: string, values: ReadonlyMap<string, readonly string[]>): string {
  return expr.replaceAll(/\$(\w+)/g, (whole, name: string) => {
    if (name === '__rate_interval') return RATE_INTERVAL
    const chosen = values.get(name)
    if (chosen === undefined || chosen.length === 0) throw new Error(`${whole} is no variable, or has no values`)
    return chosen.length === 1 ? escaped(chosen[0]!) : `(${chosen.map(escaped).join('|')})`
  })
}

function escaped (value: string): string {
  return value.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\\\$&')
}
