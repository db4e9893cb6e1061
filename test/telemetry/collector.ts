// A receiver of OTLP over HTTP on loopback, as JSON, for tests: what was sent to it, as spans.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Teardown } from '../e2e/world.ts'

export interface ReceivedSpan {
  readonly service: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly name: string
  readonly links: readonly string[]
  readonly attributes: Readonly<Record<string, unknown>>
  readonly failed: boolean
  readonly startMs: number
  readonly endMs: number
}

interface Json { [name: string]: any }

export async function startCollector (t: Teardown) {
  const bodies: string[] = []
  const paths = new Set<string>()
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk))
    request.on('end', () => {
      paths.add(request.url ?? '')
      bodies.push(Buffer.concat(chunks).toString())
      response.setHeader('content-type', 'application/json').end('{}')
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => { server.close() })
  return {
    /** What makes a process send all its traces here, soon. */
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: '100',
      OTEL_TRACES_SAMPLER_ARG: '1',
    },
    paths,
    /** All that came, as text. */
    text: () => bodies.join('\n'),
    spans: (): ReceivedSpan[] => bodies.flatMap(body => (JSON.parse(body) as Json).resourceSpans?.flatMap(spansOf) ?? []),
  }
}

function spansOf ({ resource, scopeSpans }: Json): ReceivedSpan[] {
  const service = attributesOf(resource.attributes)['service.name'] as string
  return scopeSpans.flatMap(({ spans }: Json) => spans.map((span: Json) => ({
    service,
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId === '' ? undefined : span.parentSpanId,
    name: span.name,
    links: (span.links ?? []).map(({ traceId, spanId }: Json) => `${traceId} ${spanId}`),
    attributes: attributesOf(span.attributes ?? []),
    failed: span.status?.code === 2,
    startMs: Number(span.startTimeUnixNano) / 1e6,
    endMs: Number(span.endTimeUnixNano) / 1e6,
  })))
}

function attributesOf (attributes: Json[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}
