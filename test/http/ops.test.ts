import type { AddressInfo } from 'node:net'
import { createServer } from 'node:http'
import t, { type Test } from 'tap'
import { merge } from '../../src/http/metrics.ts'
import { createOps, type OpsDeps } from '../../src/http/server.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { http } from '../client.ts'

const logger = createLogger({ level: 'silent', role: 'test' })

async function ops (t: Test, deps: Partial<OpsDeps> = {}) {
  const metrics = deps.metrics ?? createMetrics('projector')
  const app = createOps({ config: {}, metrics, logger, ready: async () => ({ ok: true, checks: { postgres: 'ok' } }), ...deps })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => { await app.close() })
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  return { url, metrics, ...http(url) }
}

/** Each line of Prometheus' text format, checked; series by name and labels. */
function parse (t: Test, text: string): { types: Map<string, string>, series: Map<string, number> } {
  const types = new Map<string, string>()
  const series = new Map<string, number>()
  for (const line of text.trimEnd().split('\n')) {
    const [, name, type] = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(line) ?? []
    if (name !== undefined) {
      if (types.has(name)) t.fail(`TYPE of ${name} is given twice`)
      types.set(name, type!)
    } else if (!line.startsWith('# HELP ')) {
      const [, key, value] = /^([a-zA-Z_:][\w:]*(?:\{(?:[a-zA-Z_]\w*="(?:[^"\\]|\\.)*",?)*\})?) (\S+)$/.exec(line) ?? []
      if (key === undefined) t.fail(`not a line of metrics: ${line}`)
      else if (series.has(key)) t.fail(`${key} is given twice`)
      else series.set(key, Number(value))
    }
  }
  return { types, series }
}

t.test('a process without a gateway tells its health', async t => {
  const { url, get } = await ops(t)
  t.match(await get('/healthz'), { status: 200, body: { status: 'ok' } })
  t.match(await get('/readyz'), { status: 200, body: { status: 'ready', checks: { postgres: 'ok' } } })
  t.match(await http(url, { described: false }).get('/rooms'), { status: 404, body: { code: 'not_found' } }, 'its routes are not those of the document')
})

t.test('readiness fails with what is wrong, and when its check throws or hangs', async t => {
  const failing = await ops(t, { ready: async () => ({ ok: false, checks: { redis: 'no answer' } }) })
  t.match(await failing.get('/readyz'), { status: 503, body: { status: 'not ready', checks: { redis: 'no answer' } } })
  t.equal((await failing.get('/healthz')).status, 200)
  const throwing = await ops(t, { ready: async () => { throw new Error('broken') } })
  t.match(await throwing.get('/readyz'), { status: 503, body: { checks: { readiness: 'broken' } } })
  const hanging = await ops(t, { ready: async () => await new Promise(() => {}) })
  t.match(await hanging.get('/readyz'), { status: 503, body: { checks: { readiness: /no answer/ } } })
})

t.test('metrics of other processes are added, each metric once, roles apart', async t => {
  const projector = await ops(t, { metrics: createMetrics('projector') })
  projector.metrics.projected.inc({ projection: 'archive' }, 7)
  projector.metrics.projectionSeconds.observe({ projection: 'archive' }, 0.02)
  const gateway = await ops(t, { metrics: createMetrics('gateway'), config: { METRICS_FROM: `${projector.url}, http://127.0.0.1:1/none/metrics` } })
  gateway.metrics.connections.set(3)
  gateway.metrics.closes.inc({ code: 'a "quoted"\\ \n code' })
  const { status, headers, body } = await gateway.get('/metrics')
  t.equal(status, 200)
  t.equal(headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  const { types, series } = parse(t, body)
  t.equal(types.get('millrace_projection_transaction_seconds'), 'histogram')
  t.equal(series.get('millrace_connections{role="gateway"}'), 3)
  t.equal(series.get('millrace_connections{role="projector"}'), 0)
  t.equal(series.get('millrace_projected_events_total{projection="archive",role="projector"}'), 7)
  t.equal(series.get('millrace_projection_transaction_seconds_bucket{le="0.025",projection="archive",role="projector"}'), 1)
  t.equal(series.get('millrace_projection_transaction_seconds_bucket{le="+Inf",projection="archive",role="projector"}'), 1)
  t.equal(series.get('millrace_projection_transaction_seconds_count{projection="archive",role="projector"}'), 1)
  t.ok((series.get('millrace_process_start_time_seconds{role="projector"}') ?? 0) > 1e9)
  t.equal(series.get('millrace_closes_total{code="a \\"quoted\\"\\\\ \\n code",role="gateway"}'), 1)
})

t.test('a bad METRICS_FROM is said in one line, without its password', async t => {
  for (const METRICS_FROM of ['nonsense', 'ftp://user:secret@host', 'http://user:secret@host:1:2']) {
    t.throws(() => createOps({ config: { METRICS_FROM }, metrics: createMetrics('gateway'), logger, ready: async () => ({ ok: true, checks: {} }) }), { name: 'ConfigError', message: /^METRICS_FROM must be (?!.*secret)/ })
  }
})

t.test('processes of one role are folded, not given twice', async t => {
  const [one, two] = [await ops(t), await ops(t)]
  one.metrics.projected.inc({ projection: 'archive' }, 2)
  two.metrics.projected.inc({ projection: 'archive' }, 3)
  const gateway = await ops(t, { metrics: createMetrics('gateway'), config: { METRICS_FROM: `${one.url}/metrics,${two.url}/metrics.json` } })
  const { series } = parse(t, (await gateway.get('/metrics')).body)
  t.equal(series.get('millrace_projected_events_total{projection="archive",role="projector"}'), 5)
  const sample = (value: number) => [{ value, labels: {} }]
  const family = (aggregator: string | undefined, value: number) => [{ name: 'x', help: '', type: 'gauge', aggregator, values: sample(value) }]
  for (const [aggregator, expected] of [[undefined, 6], ['sum', 6], ['first', 4], ['omit', 4], ['min', 2], ['max', 4], ['average', 3]] as const) {
    t.equal(merge([family(aggregator, 4), family(aggregator, 2)])[0]?.values[0]?.value, expected, String(aggregator))
  }
})

t.test('a process that hangs, is broken or is something else is left out in time', async t => {
  const strange = createServer((request, response) => {
    if (request.url === '/slow/metrics.json') return // never answers
    if (request.url === '/huge/metrics.json') response.end('x'.repeat(9 * 1024 * 1024))
    else if (request.url === '/html/metrics.json') response.end('<html>')
    else if (request.url === '/other/metrics.json') response.end('[{"name":7}]')
    else response.writeHead(500).end()
  })
  await new Promise<void>(resolve => { strange.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { strange.closeAllConnections(); strange.close() })
  const base = `http://127.0.0.1:${(strange.address() as AddressInfo).port}`
  const gateway = await ops(t, { config: { METRICS_FROM: ['slow', 'huge', 'html', 'other', 'broken'].map(path => `${base}/${path}`).join(',') } })
  const from = performance.now()
  const { series } = parse(t, (await gateway.get('/metrics')).body)
  t.ok(performance.now() - from < 15_000)
  t.equal(series.get('millrace_connections{role="projector"}'), 0)
})
