/**
 * Traces (OpenTelemetry), off unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set. One trace leads from a client's frame or request through
 * decision, append, tail and delivery to each projection, over all processes: its context travels in the event (`traceparent`).
 *
 * The dice are thrown once, where a trace begins (`OTEL_TRACES_SAMPLER_ARG`); from there on a span is made only below another. So off,
 * and for what is not sampled, all of this costs a comparison and allocates nothing. Never content, names or tokens in a span.
 *
 * The SDK is loaded only when it is on, and reads its other settings from the standard `OTEL_*` variables.
 */
import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags, type Attributes, type Context, type Span, type Tracer } from '@opentelemetry/api'
import { ConfigError } from '../config.ts'

export type { Span } from '@opentelemetry/api'

/** W3C Trace Context, version 00: trace, parent span, flags. */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}$/
/** Spans that one span names as its other causes. */
const LINKS_MAX = 16

export interface Tracing {
  /** Sends what is left and ends. */
  stop: () => Promise<void>
}

let tracer: Tracer | undefined
let part = 0

/** Reads the part of frames and requests that are traced. Throws ConfigError. */
export function readRatio (text: string): number {
  if (!/^(0?\.\d{1,15}|[01](\.0+)?)$/.test(text)) throw new ConfigError('OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, such as 0.05.')
  return Number(text)
}

/**
 * @param endpoint where traces go (OTLP over HTTP); undefined: none are made
 * @param ratio part of the frames and requests that are traced, 0 to 1
 */
export async function startTracing ({ endpoint, role, ratio }: { endpoint: string | undefined, role: string, ratio: number }): Promise<Tracing> {
  if (endpoint === undefined) return { stop: async () => {} }
  const { NodeSDK } = await import('@opentelemetry/sdk-node')
  const sdk = new NodeSDK({
    serviceName: `millrace-${role}`,
    sampler: { shouldSample: () => ({ decision: 2 }), toString: () => 'Millrace' }, // record and sample: it was decided before
    instrumentations: [],
    metricReaders: [], // Prometheus has them
    logRecordProcessors: [],
  })
  sdk.start()
  tracer = trace.getTracer('millrace')
  part = ratio
  return {
    async stop () {
      tracer = undefined
      await sdk.shutdown().catch(() => {}) // whoever does not take them is no reason not to stop
    },
  }
}

/** Whether any traces are made. */
export function isTracing (): boolean {
  return tracer !== undefined
}

/**
 * Begins a trace, or goes on with the client's, for a frame or a request that came in. Undefined: off, or not sampled. A client says
 * what its trace is called, never that it is sampled.
 */
export function beginTrace (name: string, traceparent?: string): Span | undefined {
  if (tracer === undefined || Math.random() >= part) return undefined
  return tracer.startSpan(name, { kind: SpanKind.SERVER }, contextOf(traceparent))
}

/** Begins a span below another, or below what an event carries. Undefined where there is none. */
export function childOf (parent: Span | string | undefined, name: string, attributes?: Attributes): Span | undefined {
  if (tracer === undefined || parent === undefined) return undefined
  return tracer.startSpan(name, attributes === undefined ? {} : { attributes }, typeof parent === 'string' ? contextOf(parent) : trace.setSpan(ROOT_CONTEXT, parent))
}

/** Begins the span of something done at once for several: below the first of them, linked to the others. */
export function childOfAll (parents: ReadonlyArray<Span | string>, name: string): Span | undefined {
  const span = childOf(parents[0], name)
  for (const parent of parents.slice(1, LINKS_MAX)) {
    const other = typeof parent === 'string' ? trace.getSpanContext(contextOf(parent)) : parent.spanContext()
    if (other !== undefined) span?.addLink({ context: other })
  }
  return span
}

/** Ends a span, as failed if there is a reason: the code of a rejection or the name of an error, never its text. */
export function endSpan (span: Span | undefined, failure?: string): void {
  if (span === undefined) return
  if (failure !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: failure })
  span.end()
}

/** Does `work`, and all that it awaits, as part of the span: what it asks Redis and Postgres, and what it logs. */
export function within<T> (span: Span | undefined, work: () => T): T {
  return span === undefined ? work() : context.with(trace.setSpan(ROOT_CONTEXT, span), work)
}

/** Does `work` as part of no trace: for what is done once for many, whoever happened to come first. */
export function outside<T> (work: () => T): T {
  return tracer === undefined ? work() : context.with(ROOT_CONTEXT, work)
}

/** The span that this is done as part of, until it ends. */
export function activeSpan (): Span | undefined {
  if (tracer === undefined) return undefined
  const span = trace.getActiveSpan()
  return span?.isRecording() === true ? span : undefined
}

/** What an event, or a request to another service, says of where it came from. */
export function traceparentOf (span: Span): string {
  const { traceId, spanId } = span.spanContext()
  return `00-${traceId}-${spanId}-01`
}

/** Does `work` as a span below the active one; without one, does it and nothing else. */
export async function traced<T> (name: string, work: () => Promise<T>): Promise<T> {
  const span = childOf(activeSpan(), name)
  if (span === undefined) return await work()
  try {
    const result = await work()
    endSpan(span)
    return result
  } catch (error) {
    endSpan(span, (error as Error).name)
    throw error
  }
}

function contextOf (traceparent: string | undefined): Context {
  const [, traceId, spanId] = traceparent === undefined ? [] : TRACEPARENT.exec(traceparent) ?? []
  return traceId === undefined || spanId === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true })
}
