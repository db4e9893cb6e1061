/**
 * `/metrics` in Prometheus' text format: this process's metrics and those of the processes in METRICS_FROM, which give theirs as
 * JSON at `/metrics.json`. One that does not answer in a second is shown as down: `millrace_up` is 0 for the roles that it ran.
 *
 * Each metric is written once, with all its series. Roles keep series apart; two processes of one role that would collide are
 * folded as the metric says (sums, mostly), as Prometheus refuses a series given twice.
 */
import type { FastifyInstance } from 'fastify'
import { Registry } from 'prom-client'
import Type from 'typebox'
import { ConfigError } from '../config.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { about, text } from './about.ts'
import { answerOf, type Readiness } from './health.ts'

const FETCH_MS = 1000
const BYTES_MAX = 8 * 1024 * 1024

const Families = Type.Array(Type.Object({
  name: Type.String(),
  help: Type.String(),
  type: Type.String(),
  aggregator: Type.Optional(Type.String()),
  values: Type.Array(Type.Record(Type.String(), Type.Unknown())),
}))

interface Sample { value: number, labels: Record<string, string | number>, metricName?: string }
interface Family { name: string, help: string, type: string, aggregator?: string, values: Sample[] }

const UP = 'millrace_up'
const NEVER_SEEN: Family = { name: UP, help: '', type: 'gauge', aggregator: 'min', values: [{ value: 0, labels: { runs: 'unknown', role: 'unknown' } }] }

export interface MetricsDeps {
  metrics: Metrics
  /** METRICS_FROM: URLs separated by commas. */
  from?: string | undefined
  /** What `/readyz` says. */
  ready: () => Promise<Readiness>
  logger: Logger
}

export function metricsRoutes (app: FastifyInstance, { metrics, from, ready, logger }: MetricsDeps): void {
  const { registry } = metrics
  const urls = (from ?? '').split(',').map(url => url.trim()).filter(url => url !== '').map(jsonUrl)
  /** What each of the others runs, as it said last. */
  const known = new Map<string, Family>(urls.map(url => [url, NEVER_SEEN]))
  const own = async (): Promise<Family[]> => {
    metrics.ready.set((await answerOf(ready)).ok ? 1 : 0)
    return await registry.getMetricsAsJSON() as unknown as Family[]
  }

  app.get('/metrics.json', { schema: { ...about('Service', 'Metrics of this process, for another that shows them'), describes: { response: { 200: Families } } } }, async () => await own())

  app.get('/metrics', { schema: { ...about('Service', 'Metrics, as Prometheus reads them'), describes: { response: { 200: text('text/plain') } } } }, async (_request, reply) => {
    const others = await Promise.all(urls.map(async url => {
      try {
        const families = await fetchFamilies(url)
        const up = families.find(({ name }) => name === UP)
        if (up !== undefined && up.values.length > 0) known.set(url, up)
        return families
      } catch (error) {
        logger.debug({ from: new URL(url).host, reason: (error as Error).message }, 'the metrics of another process are missing')
        const up = known.get(url)!
        return [{ ...up, values: up.values.map(sample => ({ ...sample, value: 0 })) }]
      }
    }))
    return reply.header('content-type', Registry.PROMETHEUS_CONTENT_TYPE).send(textOf(merge([await own(), ...others])))
  })
}

/** The JSON beside the text, whichever of the two a person named. Throws ConfigError. */
function jsonUrl (text: string): string {
  const url = URL.parse(text)
  if (url === null || !url.protocol.startsWith('http')) throw new ConfigError('METRICS_FROM must be http:// or https:// URLs, separated by commas')
  if (!url.pathname.endsWith('.json')) url.pathname = `${url.pathname.replace(/\/(metrics)?$/, '')}/metrics.json`
  return url.href
}

async function fetchFamilies (url: string): Promise<Family[]> {
  const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_MS) })
  if (!response.ok) throw new Error(`answered with ${response.status}`)
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > BYTES_MAX) throw new Error('too large')
  }
  const families: unknown = JSON.parse(text)
  if (!Array.isArray(families) || !families.every(isFamily)) throw new Error('not the metrics of Millrace')
  return families
}

function isFamily (value: unknown): value is Family {
  const { name, help, type, values } = (value ?? {}) as Partial<Family>
  return typeof name === 'string' && typeof help === 'string' && typeof type === 'string' && Array.isArray(values)
}

/** Joins what several processes gave: one family for each name, one sample for each set of labels. */
export function merge (processes: readonly Family[][]): Family[] {
  const families = new Map<string, { family: Family, samples: Map<string, Sample[]> }>()
  for (const family of processes.flat()) {
    let known = families.get(family.name)
    if (known === undefined) families.set(family.name, known = { family, samples: new Map() })
    for (const sample of family.values) {
      const key = keyOf(sample)
      const same = known.samples.get(key)
      if (same === undefined) known.samples.set(key, [sample])
      else same.push(sample)
    }
  }
  return [...families.values()].map(({ family, samples }) => ({ ...family, values: [...samples.values()].map(same => fold(same, family.aggregator)) }))
}

function keyOf ({ metricName = '', labels }: Sample): string {
  return JSON.stringify([metricName, ...Object.entries(labels).sort(([a], [b]) => a < b ? -1 : 1)])
}

function fold (samples: readonly Sample[], aggregator = 'sum'): Sample {
  const [first] = samples as [Sample]
  if (samples.length === 1) return first
  const values = samples.map(({ value }) => Number(value))
  switch (aggregator) {
    case 'first':
    case 'omit': return first
    case 'min': return { ...first, value: Math.min(...values) }
    case 'max': return { ...first, value: Math.max(...values) }
  }
  const sum = values.reduce((a, b) => a + b, 0)
  return { ...first, value: aggregator === 'average' ? sum / values.length : sum }
}

function textOf (families: readonly Family[]): string {
  const lines: string[] = []
  for (const { name, help, type, values } of families) {
    lines.push(`# HELP ${name} ${escaped(help)}`, `# TYPE ${name} ${type}`)
    for (const { metricName = name, labels, value } of values) {
      const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(String(text)).replaceAll('"', '\\"')}"`)
      lines.push(`${metricName}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${numberOf(value)}`)
    }
  }
  return lines.join('\n') + '\n'
}

function escaped (text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

/** JSON has no infinities and no NaN: they arrive as null. */
function numberOf (value: number | null): string {
  if (value === null || Number.isNaN(value)) return 'NaN'
  return value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value)
}
