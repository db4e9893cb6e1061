/**
 * Writes the dashboards: `node grafana/build.ts`. Grafana reads the JSON and not this; a test compares the two. To change a panel,
 * change it in overview.ts, log-and-delivery.ts or projections-and-jobs.ts, and run this.
 */
import { writeFileSync } from 'node:fs'
import { logAndDelivery } from './log-and-delivery.ts'
import { overview } from './overview.ts'
import { dashboard } from './panels.ts'
import { projectionsAndJobs } from './projections-and-jobs.ts'

const DIR = new URL('dashboards/', import.meta.url)

/** File name → text. */
export function built (): Map<string, string> {
  return new Map([overview, logAndDelivery, projectionsAndJobs].map(page => [`${page.uid}.json`, `${JSON.stringify(dashboard(page), null, 2)}\n`]))
}

if (import.meta.main) for (const [name, text] of built()) writeFileSync(new URL(name, DIR), text)
