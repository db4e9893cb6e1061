/** The wiring of the background jobs. */
import { eraseOld } from '../../projections/erase.ts'
import { vapidKeys } from '../auth/vapid.ts'
import { createAccess } from '../commands/access.ts'
import { GRACE_MS } from '../gateway/presence.ts'
import { uuidv7 } from '../ids.ts'
import { deliveryQueues } from '../jobs/deliver.ts'
import { dropRetiredTables } from '../jobs/drop-retired.ts'
import { exportTask, startExporter } from '../jobs/exports.ts'
import { expireNotifications } from '../jobs/expire-notifications.ts'
import { expireSecurityEvents } from '../jobs/expire-security-events.ts'
import { expireSessions } from '../jobs/expire-sessions.ts'
import { startJobs } from '../jobs/jobs.ts'
import { createNews } from '../jobs/news.ts'
import { startNotifier } from '../jobs/notify.ts'
import { retention } from '../jobs/retention.ts'
import { createWebPush } from '../jobs/web-push.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { createEgress } from '../limits/egress.ts'
import { createMarks } from '../log/marks.ts'
import { createPeopleKeys } from '../log/people-keys.ts'
import { createPresenceLeases } from '../log/presence.ts'
import { createPublisher } from '../log/publisher.ts'
import { announce } from './announce.ts'
import type { Shared } from './shared.ts'

const DAY_MS = 24 * 60 * 60 * 1000
/** A look at the fence is as good as a new one for so long. */
const FENCE_FRESH_MS = 500

/** Background jobs. */
export async function openJobs (life: Lifecycle, shared: Shared): Promise<void> {
  const { config, databaseUrl, store, cold, clock, logger, metrics } = shared
  const preview = config.NOTIFY_PREVIEW === 'on'
  const news = createNews({ ...newsSources(shared), store, clock })
  const egress = await life.open('egress', () => createEgress({ allowPrivate: config.WEBHOOK_ALLOW_PRIVATE === 'on' }), egress => { egress.close() })
  const webPush = createWebPush({ keys: await vapidKeys(store, config.VAPID_PRIVATE_KEY), subject: config.VAPID_SUBJECT, preview })
  const exports = config.EXPORT_DIR === undefined ? undefined : { store, dir: config.EXPORT_DIR, keepH: config.EXPORT_KEEP_H, logger }
  const jobs = await life.open('jobs', async () => await startJobs({
    url: databaseUrl,
    jobs: [
      expireSessions({ store, clock }),
      expireSecurityEvents({ store, clock }),
      dropRetiredTables({ store, clock }),
      expireNotifications({ store, clock }),
      retention({ days: config.RETENTION_DAYS, erase: async (keeping, signal) => await eraseOld({ store, cold, metrics }, keeping, signal), clock }),
    ],
    queues: deliveryQueues({ store, news, webPush, egress, preview, retries: config.WEBHOOK_RETRIES, pauseS: config.NOTIFY_RETRY_S, disableMs: config.WEBHOOK_DISABLE_DAYS * DAY_MS, clock, metrics }),
    tasks: exports === undefined ? [] : [exportTask(exports)],
    logger,
    drainMs: config.DRAIN_MS / 2,
  }), async jobs => { await jobs.stop() })
  if (exports !== undefined) await life.open('exports', () => startExporter({ ...exports, enqueue: jobs.enqueueTasks }), async exporter => { await exporter.stop() })
  await life.open('notifications', () => startNotifier({ store, news, enqueue: jobs.enqueue, delayMs: config.NOTIFY_DELAY_S * 1000, newId: uuidv7, metrics, logger }), async notifier => { await notifier.stop() })
  await announce(life, shared, 'jobs', async () => {
    const trouble = await store.query('SELECT 1').then(() => undefined, (error: Error) => `postgres: ${error.message}`)
    return { ready: trouble === undefined, trouble }
  })
}

/** What Redis is asked about people and rooms. */
function newsSources ({ config, keys, redis, log, restorer, fence, metrics, clock }: Shared) {
  const peopleKeys = createPeopleKeys(keys)
  const publisher = createPublisher({ redis, keys, peopleKeys, metrics })
  let looked = { at: 0, fenced: Promise.resolve<ReadonlyMap<number, unknown>>(new Map()) }
  return {
    log,
    access: createAccess({ log, coldHashes: restorer.hashes, clock }),
    marks: createMarks({ redis, keys, peopleKeys, publisher, roomMax: config.MARKS_ROOM_MAX, clock }), // read only
    presence: createPresenceLeases({ redis, keys, peopleKeys, node: uuidv7(), leaseMs: config.PRESENCE_LEASE_MS, graceMs: GRACE_MS }), // read only
    partitionOf: keys.partitionOf,
    async fenced () {
      if (clock() - looked.at >= FENCE_FRESH_MS) looked = { at: clock(), fenced: fence.fencedPartitions() }
      return await looked.fenced
    },
  }
}
