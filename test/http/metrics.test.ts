import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createOps } from '../../src/http/server.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { http } from '../client.ts'
import { testStack } from './stack.ts'
import { until } from '../until.ts'

const stack = await testStack(t)
const { get, post, call, metrics } = stack
const { user, access_token } = (await post('/auth/guest', { username: 'ann' })).body

/** `method route status` → requests. */
async function requests (): Promise<Record<string, number>> {
  const { values } = await metrics.httpRequests.get()
  return Object.fromEntries(values.map(({ labels: { method, route, status }, value }) => [`${method} ${route} ${status}`, value]))
}

t.test('requests are counted and timed by the pattern of their route, never by an ID', async t => {
  await until(async () => (await requests())['POST /auth/guest 201'] === 1)
  const before = await requests()
  const room = (await post('/rooms', { name: 'a room', kind: 'public' }, access_token)).body.id
  await get(`/rooms/${room}?token=hush`, access_token)
  await get('/rooms/lobby', access_token)
  await get('/rooms/019abc00-0000-7000-8000-000000000001', access_token)
  await get(`/users/${user.id}`)
  await get(`/nothing/${room}`)
  await call('DELETE', `/nothing/${room}`, { token: access_token })
  await get(`/rooms/%zz${room}`, access_token)
  await get(`/rooms/${'x'.repeat(300)}`, access_token)
  const wanted = {
    'POST /rooms 201': 1,
    'GET /rooms/:id 200': 2,
    'GET /rooms/:id 404': 1,
    'GET /users/:id 401': 1,
    'GET unknown 404': 2,
    'DELETE unknown 404': 1,
    'GET unknown 400': 1,
  }
  const total = (counts: Record<string, number>): number => Object.values(counts).reduce((a, b) => a + b, 0)
  await until(async () => total(await requests()) >= total(before) + total(wanted)) // counted after the answer is sent
  t.same(await requests(), { ...before, ...wanted })

  const { body } = await get('/metrics')
  t.match(body, /^millrace_http_requests_total\{method="GET",route="\/rooms\/:id",status="200",role="gateway"\} 2$/m)
  t.match(body, /^millrace_http_request_seconds_count\{route="\/rooms\/:id",role="gateway"\} 3$/m)
  t.match(body, /^# TYPE millrace_http_request_seconds histogram$/m)
  t.notMatch(body, new RegExp(`${room}|${user.id}|hush|lobby|zz`))
})

/** A process of its own kind, as far as its metrics go. */
async function processOf (t: Test, role: string, { METRICS_FROM, ready = true }: { METRICS_FROM?: string, ready?: boolean } = {}) {
  const metrics = createMetrics(role)
  metrics.up.set({ runs: role }, 1)
  const app = createOps({ config: { METRICS_FROM }, metrics, logger: createLogger({ level: 'silent', role }), ready: async () => ({ ok: ready, checks: {} }) })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => { await app.close() })
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  return { url, metrics, stop: async () => { await app.close() }, text: async () => (await http(url).get('/metrics')).body as string }
}

t.test('a process that is gone is shown as down, under the role that it had; one that never was there as unknown', async t => {
  const projector = await processOf(t, 'projector', { ready: false })
  projector.metrics.projected.inc({ projection: 'archive_v1' })
  const gateway = await processOf(t, 'gateway', { METRICS_FROM: `${projector.url},http://127.0.0.1:1` })
  const before = await gateway.text()
  t.match(before, /^millrace_up\{runs="gateway",role="gateway"\} 1$/m)
  t.match(before, /^millrace_up\{runs="projector",role="projector"\} 1$/m)
  t.match(before, /^millrace_up\{runs="unknown",role="unknown"\} 0$/m)
  t.match(before, /^millrace_ready\{role="gateway"\} 1$/m)
  t.match(before, /^millrace_ready\{role="projector"\} 0$/m, 'it lives and cannot do its work')
  await projector.stop()
  const after = await gateway.text()
  t.match(after, /^millrace_up\{runs="projector",role="projector"\} 0$/m)
  t.match(after, /^millrace_up\{runs="gateway",role="gateway"\} 1$/m)
  t.notMatch(after, /millrace_projected_events_total\{/, 'what it counted is not made up')
})

t.test('of two processes of a role, the one that is gone counts', async t => {
  const [one, two] = [await processOf(t, 'projector'), await processOf(t, 'projector')]
  one.metrics.projectionLagSeconds.set({ projection: 'archive_v1' }, 3)
  two.metrics.projectionLagSeconds.set({ projection: 'archive_v1' }, 4)
  one.metrics.projected.inc({ projection: 'archive_v1' }, 3)
  two.metrics.projected.inc({ projection: 'archive_v1' }, 4)
  const gateway = await processOf(t, 'gateway', { METRICS_FROM: `${one.url},${two.url}` })
  const both = await gateway.text()
  t.match(both, /^millrace_projection_lag_seconds\{projection="archive_v1",role="projector"\} 4$/m, 'what is true of all is not added up')
  t.match(both, /^millrace_projected_events_total\{projection="archive_v1",role="projector"\} 7$/m)
  await two.stop()
  t.match(await gateway.text(), /^millrace_up\{runs="projector",role="projector"\} 0$/m)
})
