// The tokens of a gateway with a given key and clock: made as the product makes them, on a server of their own that never
// listens.

import { createTokens, readSigningKey, type Tokens } from '../../src/auth/tokens.ts'
import { createServer } from '../../src/http/server.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'

export async function gatewayTokens (privateKey: string, clock: () => number = Date.now): Promise<Tokens> {
  const key = readSigningKey(privateKey)
  const app = await createServer({ signingKey: key, metrics: createMetrics('test'), logger: createLogger({ level: 'silent', role: 'test' }) })
  return createTokens({ jwt: app.jwt, key, lifetimeS: 900, clock })
}
