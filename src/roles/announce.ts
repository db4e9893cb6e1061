/** Each role of each process says that it lives: `millrace status` and `/admin/status` show it. */
import { hostname } from 'node:os'
import { uuidv7 } from '../ids.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { startAnnouncing, type NodeRole, type NodeState } from '../log/nodes.ts'
import { VERSION } from '../version.ts'
import type { Shared } from './shared.ts'

export async function announce (life: Lifecycle, { redis, clock, logger, metrics }: Shared, role: NodeRole, state: () => NodeState | Promise<NodeState>): Promise<void> {
  const node = { id: uuidv7(), role, host: hostname(), pid: process.pid, version: VERSION, started_at: new Date(clock()).toISOString() }
  metrics.up.set({ runs: role }, 1)
  await life.open(`announcement of ${role}`, () => startAnnouncing({ redis, node, state, clock, logger }), async announcement => { await announcement.stop() })
}

/** What is not `ok` of the checks of readiness, as one line; undefined if all is. */
export function troubleOf (checks: Readonly<Record<string, string>>): string | undefined {
  const wrong = Object.entries(checks).filter(([, said]) => said !== 'ok')
  return wrong.length === 0 ? undefined : wrong.map(([what, said]) => `${what}: ${said}`).join('; ')
}
