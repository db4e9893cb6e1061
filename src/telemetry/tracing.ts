/**
 * Traces (OpenTelemetry), off unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set. So far a span for each command, from its coming in to
 * its result; without the SDK started, a span is a no-op. Never content, names or tokens.
 *
 * The SDK is loaded only when it is on, and reads its other settings from the standard `OTEL_*` variables.
 */
import { SpanStatusCode, trace } from '@opentelemetry/api'

const tracer = trace.getTracer('millrace')

export interface Tracing {
  /** Sends what is left and ends. */
  stop: () => Promise<void>
}

/** @param endpoint where traces go (OTLP over HTTP); undefined: none are made */
export async function startTracing ({ endpoint, role }: { endpoint: string | undefined, role: string }): Promise<Tracing> {
  if (endpoint === undefined) return { stop: async () => {} }
  const { NodeSDK } = await import('@opentelemetry/sdk-node')
  const sdk = new NodeSDK({ serviceName: `millrace-${role}`, instrumentations: [] })
  sdk.start()
  return { stop: async () => { await sdk.shutdown() } }
}

/** Begins the span of a command; call what it returns with the outcome: `appended`, `duplicate`, `unchanged` or the code of a rejection. */
export function traceCommand (type: string): (outcome: string, failed: boolean) => void {
  const span = tracer.startSpan(`command ${type}`)
  return (outcome, failed) => {
    span.setAttribute('millrace.outcome', outcome)
    if (failed) span.setStatus({ code: SpanStatusCode.ERROR, message: outcome })
    span.end()
  }
}
