import t from 'tap'
import { randomBytes, randomUUID } from 'node:crypto'
import { millrace } from '../e2e/world.ts'
import { until } from '../until.ts'
import { startCollector, type ReceivedSpan } from './collector.ts'

/** Every span below each, as `service: name`, sorted, without doubles. */
const namesOf = (spans: readonly ReceivedSpan[]): string[] => [...new Set(spans.map(({ service, name }) => `${service.slice('millrace-'.length)}: ${name}`))].sort()

/** Spans of the trace whose chain of parents does not lead to its root. */
function strays (spans: readonly ReceivedSpan[], root: ReceivedSpan): ReceivedSpan[] {
  const byId = new Map(spans.map(span => [span.spanId, span]))
  return spans.filter(span => {
    let at: ReceivedSpan | undefined = span
    for (let steps = 0; at !== undefined && at !== root && steps < spans.length; steps++) at = at.parentSpanId === undefined ? undefined : byId.get(at.parentSpanId)
    return at !== root
  })
}

t.test('one trace leads from the frame of a client through decision, append, tail and delivery to each projection, over all processes', async t => {
  const collector = await startCollector(t)
  const world = await millrace(t, { env: collector.env })
  const [ada, bob] = [await world.signup(), await world.signup()]
  const room = await world.room(ada.access_token)
  await world.api(1).post(`/rooms/${room}/join`, {}, bob.access_token)
  const sender = await world.connect(0, ada.access_token)
  const reader = await world.connect(1, bob.access_token)
  await Promise.all([sender.subscribe(room), reader.subscribe(room)])
  await world.projected() // so that the message has its transactions for itself

  const [traceId, parentId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')]
  const ack = await sender.request({ type: 'message', room_id: room, content: 'a secret of mine', client_id: randomUUID(), traceparent: `00-${traceId}-${parentId}-00` })
  const event = await reader.next(frame => frame.type === 'message' && frame.room_id === room)
  t.match(event.traceparent, new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`), 'whoever receives it can go on with the trace')
  await world.projected()

  const mine = () => collector.spans().filter(span => span.traceId === traceId)
  const wanted = ['frame message', 'command message', 'decide', 'append', 'append.lua', 'redis evalsha', 'tail', 'deliver', 'project archive', 'project history', 'postgres BEGIN', 'postgres COMMIT']
  await until(() => wanted.every(name => mine().some(span => span.name === name)) && mine().filter(({ name }) => name === 'deliver').length >= 2 && mine().filter(({ name }) => name.startsWith('project ')).length >= 4, { what: 'the whole trace' })
    .catch(error => { t.fail(`there are only ${namesOf(mine()).join(', ')}`); throw error })
  const spans = mine()
  const root = spans.find(({ name }) => name === 'frame message')!
  t.equal(root.parentSpanId, parentId, 'it goes on with that of the client')
  t.same(namesOf(strays(spans, root)), [], 'no span stands apart')
  for (const name of ['project archive', 'project history', 'project mentions', 'project search']) t.ok(namesOf(spans).includes(`projector: ${name}`), name)
  t.same([...new Set(spans.map(({ service }) => service))].sort(), ['millrace-gateway', 'millrace-projector'])
  const appended = spans.find(({ name }) => name === 'append')!
  t.equal(Number(appended.attributes['millrace.seq']), ack.seq)
  t.match(spans.filter(({ name }) => name === 'deliver').map(({ parentSpanId }) => parentSpanId), [appended.spanId, appended.spanId], 'both gateways deliver below the append')
  for (const span of spans) t.ok(span.endMs >= span.startMs, `${span.name} ends`)
  t.same([...collector.paths], ['/v1/traces'], 'neither metrics nor logs are sent')
  t.notMatch(collector.text(), /a secret of mine|correct horse|eyJ/, 'nothing of what was said, no password, no token')
  for (const role of [...world.gateways, ...world.projectors]) t.equal(await role.stop(), 0)
})

t.test('a request is a trace too, with what it asks of Redis and Postgres; a refusal says why', async t => {
  const collector = await startCollector(t)
  const world = await millrace(t, { gateways: 1, projectors: 0, env: { ...collector.env, LOG_LEVEL: 'debug' } })
  const ada = await world.signup()
  const traceId = randomBytes(16).toString('hex')
  const { status } = await world.api(0).post('/rooms', { name: 'a room', kind: 'public' }, ada.access_token, { traceparent: `00-${traceId}-${'1'.repeat(16)}-01` })
  t.equal(status, 201)
  await until(() => collector.spans().some(({ name }) => name === 'POST /rooms'), { what: 'the request' })
  const spans = collector.spans().filter(span => span.traceId === traceId)
  const root = spans.find(({ name }) => name === 'POST /rooms')!
  t.same(strays(spans, root), [])
  t.match(root.attributes, { 'http.request.method': 'POST', 'http.route': '/rooms' })
  for (const name of ['command create', 'append', 'append.lua', 'redis evalsha']) t.ok(spans.some(span => span.name === name), name)
  const line = world.gateways[0]!.output().split('\n').find(line => line.includes('"/rooms"') && line.includes('"request"'))
  t.match(JSON.parse(line!), { trace_id: traceId, span_id: root.spanId, route: '/rooms' }, 'the log says which trace')

  const client = await world.connect(0, ada.access_token)
  await t.rejects(client.request({ type: 'leave', room_id: 'lobby', traceparent: 'nonsense' }).then(answer => { if (answer.type === 'error') throw new Error(answer.code) }))
  await until(() => collector.spans().some(({ name }) => name === 'frame leave'), { what: 'the refusal' })
  const refused = collector.spans().find(({ name }) => name === 'frame leave')
  t.equal(refused?.failed, true)
  t.equal(refused?.parentSpanId, undefined, 'what cannot be read is passed over')
})

t.test('what is not sampled is not traced, and nothing is put into its event', async t => {
  const collector = await startCollector(t)
  const world = await millrace(t, { gateways: 1, projectors: 0, env: { ...collector.env, OTEL_TRACES_SAMPLER_ARG: '0' } })
  const ada = await world.signup()
  const client = await world.connect(0, ada.access_token)
  await client.subscribe('lobby')
  await client.request({ type: 'message', room_id: 'lobby', content: 'x', client_id: randomUUID(), traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` })
  const event = await client.next(frame => frame.type === 'message')
  t.notOk('traceparent' in event)
  t.equal(await world.gateways[0]!.stop(), 0)
  t.same(collector.spans(), [])
})
