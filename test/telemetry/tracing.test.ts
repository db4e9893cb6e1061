import t from 'tap'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { millrace } from '../e2e/world.ts'
import { until } from '../until.ts'

t.test('with an OTLP endpoint each command is a span, sent there; nothing of what was said is in it', async t => {
  const received: Array<{ path: string, body: string }> = []
  const collector = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk))
    request.on('end', () => {
      received.push({ path: request.url ?? '', body: Buffer.concat(chunks).toString('latin1') })
      response.end()
    })
  })
  await new Promise<void>(resolve => collector.listen(0, '127.0.0.1', resolve))
  t.teardown(() => { collector.close() })
  const world = await millrace(t, {
    gateways: 1,
    projectors: 0,
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json', OTEL_BSP_SCHEDULE_DELAY: '100' },
  })
  const ada = await world.signup()
  const client = await world.connect(0, ada.access_token)
  await client.message('lobby', 'a secret of mine')
  await client.request({ type: 'leave', room_id: 'lobby' })
  const spans = await until(() => {
    const all = received.filter(({ path }) => path === '/v1/traces').map(({ body }) => body).join('\n')
    return all.includes('command message') && all.includes('command leave') && all
  }, { what: 'two spans' })
  for (const text of ['millrace-gateway', 'millrace.outcome', 'appended', 'forbidden']) t.match(spans, text)
  t.notMatch(received.map(({ body }) => body).join('\n'), /a secret of mine/)
  t.equal(await world.gateways[0]!.stop(), 0)
})
