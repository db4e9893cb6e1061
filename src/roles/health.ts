/** Health and metrics of a process with jobs only, on a port of their own. */
import type { Readiness } from '../http/health.ts'
import { createOps } from '../http/server.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { Shared } from './shared.ts'

/** Jobs are ready when Postgres answers: their queue is in it, and they wait there while it is away. */
export async function openHealth (life: Lifecycle, { config, metrics, logger, store }: Shared): Promise<void> {
  const ready = async (): Promise<Readiness> => {
    const trouble = await store.query('SELECT 1').then(() => 'ok', () => 'Postgres does not answer')
    return { ok: trouble === 'ok', checks: { postgres: trouble } }
  }
  const ops = createOps({ config, metrics, logger, ready })
  await life.open('health', async () => await ops.listen({ host: config.OPS_HOST, port: config.OPS_PORT }), async () => { await ops.close() })
}
