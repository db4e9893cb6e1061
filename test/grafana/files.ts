// What the dashboards, the rules and the documents say, as the tests beside this read it; and which metrics there are.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Metric } from 'prom-client'
import { parse } from 'yaml'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { programOf } from '../ship/compose.ts'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
export const DASHBOARDS = readdirSync(join(ROOT, 'grafana/dashboards')).sort()
export const RUNBOOKS = readdirSync(join(ROOT, 'docs/runbooks')).filter(name => name !== 'README.md').map(name => name.replace(/\.md$/, '')).sort()

// Grafana's JSON has no types here: fields are `any`.
export type Json = Record<string, any>
export interface Alert { readonly alert: string, readonly expr: string, readonly for: string, readonly labels: { severity: string }, readonly annotations: { summary: string, description: string, runbook_url: string } }
interface Recorded { readonly record: string, readonly expr: string }

export const RULES = (parse(read('grafana/alerts.yml')) as { groups: Array<{ rules: Array<Alert | Recorded> }> }).groups.flatMap(({ rules }) => rules)
export const ALERTS = RULES.filter(rule => 'alert' in rule)
export const RECORDED = new Set(RULES.flatMap(rule => 'record' in rule ? [rule.record] : []))

/** Every metric of Millrace, by its type. */
export const METRICS = new Map((createMetrics('test').registry.getMetricsAsArray() as unknown as Array<Metric & { name: string }>).map(metric => [metric.name, metric.constructor.name.toLowerCase()]))

/** The metrics of Millrace, and recorded rules, that a text names. */
export function namesIn (text: string): string[] {
  return [...new Set([...text.matchAll(/\bmillrace[_:][\w:]+/g)].map(([name]) => name))]
}

/** The metric that a series is of: `…_bucket` is of its histogram. Undefined if there is none. */
export function metricOf (series: string): string | undefined {
  if (METRICS.has(series)) return series
  const base = series.replace(/_(bucket|count|sum)$/, '')
  return METRICS.get(base) === 'histogram' ? base : undefined
}

export const exists = (name: string): boolean => RECORDED.has(name) || metricOf(name) !== undefined

export function dashboardOf (file: string): Json {
  return JSON.parse(read(`grafana/dashboards/${file}`)) as Json
}

/** Its panels, those in closed rows too, without the rows. */
export function panelsOf (dashboard: Json): Json[] {
  return dashboard.panels.flatMap((panel: Json) => panel.type === 'row' ? panel.panels : [panel])
}

export interface Asked { readonly dashboard: string, readonly panel: string, readonly expr: string }

/** Every query of every panel. */
export const QUERIES: Asked[] = DASHBOARDS.flatMap(file => {
  const dashboard = dashboardOf(file)
  return panelsOf(dashboard).flatMap(({ title, targets = [] }) => targets.map(({ expr }: { expr: string }) => ({ dashboard: dashboard.title, panel: title, expr })))
})

/** False, or why a test that needs Prometheus is skipped. With MILLRACE_SKIPS=fail it is run, and fails. */
export function withoutPrometheus (): string | false {
  const missing = ['prometheus', 'promtool'].filter(name => programOf(name) === undefined)
  return missing.length === 0 || process.env.MILLRACE_SKIPS === 'fail' ? false : `not installed here: ${missing.join(', ')} (apt-get install prometheus)`
}
