import t from 'tap'
import { readFileSync } from 'node:fs'
import type { Metric } from 'prom-client'
import { createMetrics } from '../../src/telemetry/metrics.ts'

interface Described { type: string, labels: string[] }

const PAGE = readFileSync(new URL('../../docs/OPERATIONS.md', import.meta.url), 'utf8')
const ROW = /^\| `(millrace_\w+)` \| (\w+) \|([^|]*)\|([^|]*)\|([^|]*)\|.*\|$/gm
const { registry } = createMetrics('test')

/** What the page's tables say. */
const documented = new Map<string, Described & { unit: string, meaning: string }>()
for (const [, name, type, labels, unit, meaning] of PAGE.matchAll(ROW)) {
  if (documented.has(name!)) t.fail(`${name} has two rows`)
  documented.set(name!, { type: type!, labels: [...labels!.matchAll(/`(\w+)`/g)].map(([, label]) => label!).sort(), unit: unit!.trim(), meaning: meaning!.trim() })
}

/** What is declared. */
const declared = new Map<string, Described>()
for (const metric of registry.getMetricsAsArray() as unknown as Array<Metric & { name: string, labelNames: string[] }>) {
  declared.set(metric.name, { type: metric.constructor.name.toLowerCase(), labels: [...metric.labelNames].sort() })
}

t.test('docs/OPERATIONS.md lists every metric with its type and labels, and no other', async t => {
  t.same([...documented.keys()].sort(), [...declared.keys()].sort())
  for (const [name, { type, labels }] of declared) {
    const row = documented.get(name)
    if (row !== undefined) t.same({ type: row.type, labels: row.labels }, { type, labels }, name)
  }
})

t.test('every metric has a meaning and a base unit; counters, and only they, end in _total', async t => {
  for (const [name, { type, unit, meaning }] of documented) {
    t.ok(meaning.length > 0 && unit.length > 0, name)
    const isCounter = type === 'counter'
    if (!name.startsWith('millrace_nodejs_')) t.equal(name.endsWith('_total'), isCounter, name)
    t.notMatch(name, /_(ms|milliseconds|micros|kb|mb|percent)(_|$)/, name)
    for (const [end, base] of [['_seconds', 'seconds'], ['_bytes', 'bytes'], ['_ratio', '0 to 1']] as const) if (name.replace(/_total$/, '').endsWith(end)) t.equal(unit, base, name)
  }
})

t.test('no label is of a user, a room or an address', async t => {
  const bounded = new Set(['role', 'runs', 'version', 'type', 'kind', 'result', 'code', 'state', 'source', 'reason', 'method', 'route', 'status', 'limit', 'outcome', 'durability', 'where', 'projection', 'direction', 'queue', 'via', 'space', 'major', 'minor', 'patch'])
  for (const [name, { labels }] of declared) for (const label of labels) t.ok(bounded.has(label), `${name}: ${label}`)
})

t.test('what the page asks in PromQL names metrics that there are', async t => {
  const asked = [...PAGE.matchAll(/`([^`]*)`/g)].map(([, code]) => code!)
  const ends = /_(bucket|count|sum)$/
  for (const code of asked) {
    for (const [name] of code.matchAll(/\bmillrace_\w+/g)) {
      const known = declared.has(name) || (declared.get(name.replace(ends, ''))?.type === 'histogram')
      t.ok(known, name)
    }
  }
})
