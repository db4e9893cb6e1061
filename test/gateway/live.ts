// Gateways and a projector as in production, but within the test's own process, so that it can count what they ask Postgres and
// look at their metrics; over a real Redis and Postgres.
import { createLifecycle } from '../../src/lifecycle.ts'
import { loadConfig } from '../../src/config.ts'
import { createKeys } from '../../src/log/keys.ts'
import { openGateway } from '../../src/roles/gateway.ts'
import { openProjector } from '../../src/roles/projector.ts'
import { openShared, type Shared } from '../../src/roles/shared.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { createScene, environment, openServers } from '../e2e/world.ts'
import { until } from '../until.ts'

const logger = createLogger({ level: process.env.LOG_LEVEL ?? 'silent', role: 'test' })

interface Teardown { teardown: (fn: () => unknown) => unknown }

export async function liveWorld (t: Teardown, { env = {}, projector = true }: { env?: Record<string, string>, projector?: boolean } = {}) {
  const servers = await openServers(t)
  const common: Record<string, string> = { ...environment(servers), LOG_LEVEL: process.env.LOG_LEVEL ?? 'silent', PORT: '0', OPS_PORT: '0', LINGER_S: '0', ...env }
  const keys = createKeys(Number(common.PARTITIONS))

  async function role (name: string, more: Record<string, string>): Promise<{ shared: Shared, life: ReturnType<typeof createLifecycle> }> {
    const config = loadConfig({ ...common, ...more })
    const life = createLifecycle({ log: logger, deadlineMs: config.DRAIN_MS })
    t.teardown(async () => { await life.close() })
    return { shared: await openShared(life, config, name), life }
  }

  /** Another gateway. `queries`: names or texts of what it asked Postgres since they were last taken. */
  async function gateway (more: Record<string, string> = {}) {
    const { shared, life } = await role('gateway', more)
    let asked: string[] = []
    const { query } = shared.store
    shared.store.query = (async (...args: unknown[]) => {
      asked.push(typeof args[0] === 'string' ? args[0] : (args[0] as { name?: string }).name ?? 'unnamed')
      return await (query as (...args: unknown[]) => Promise<unknown>)(...args)
    }) as never
    const url = await openGateway(life, shared)
    const value = async (metric: 'roomsTailed' | 'connections' | 'streams'): Promise<number> => (await shared.metrics[metric].get()).values[0]?.value ?? 0
    return { url, shared, value, stop: life.close, queries: () => { const taken = asked; asked = []; return taken } }
  }

  const first = await gateway()
  if (projector) {
    const { shared, life } = await role('projector', {})
    await openProjector(life, shared)
  }
  const scene = createScene(t, { ...servers, urlOf: () => first.url })

  return {
    ...servers,
    ...scene,
    ...first,
    keys,
    gateway,
    /** Takes all events of the room out of the stream, once the archive has them. */
    async trim (room: string, keep = 0): Promise<void> {
      await scene.projected()
      await servers.redis.xtrim(keys.log(room), 'MAXLEN', keep)
    },
    /** Resolves when nothing is subscribed to any more. */
    quiet: async () => await until(async () => await first.value('roomsTailed') === 0 && await first.value('connections') === 0 && await first.value('streams') === 0, { what: 'all to be let go of' }),
  }
}
