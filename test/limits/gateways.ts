// Limits as several gateways have them: each with a connection of its own to the same Redis.
import { loadConfig } from '../../src/config.ts'
import { createLimits } from '../../src/limits/limits.ts'
import { connectRedis } from '../../src/log/redis.ts'
import { createLogger, type Logger } from '../../src/telemetry/logging.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'

export const quiet = createLogger({ level: 'silent', role: 'test' })

interface Teardown { teardown: (fn: () => unknown) => unknown }

export async function gatewayLimits (t: Teardown, url: string, env: Record<string, string | number> = {}, logger: Logger = quiet) {
  const redis = await connectRedis(url, 'test', quiet)
  const metrics = createMetrics('test')
  const config = loadConfig(Object.fromEntries(Object.entries(env).map(([name, value]) => [name, String(value)])))
  const limits = createLimits({ redis, config, metrics, logger })
  t.teardown(() => {
    limits.stop()
    redis.disconnect()
  })
  const counted = async (what: 'rateLimited' | 'limitsLocal', limit: string): Promise<number> => {
    const { values } = await metrics[what].get()
    return values.find(({ labels }) => labels.limit === limit)?.value ?? 0
  }
  return { ...limits, redis, metrics, counted }
}
