/** Deletes notifications that nobody looks at any more, and push subscriptions that nobody uses. */
import { deleteOldNotifications } from '../store/notifications.ts'
import type { Store } from '../store/pool.ts'
import { deleteOldSubscriptions } from '../store/push-subscriptions.ts'
import type { Job } from './jobs.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const KEEP_MS = 30 * DAY_MS
/** No client has put the subscription again for so long: clients do at each start. */
const UNUSED_MS = 60 * DAY_MS
/** No push was taken for so long. */
const FAILING_MS = 14 * DAY_MS

export function expireNotifications ({ store, clock }: { store: Store, clock: () => number }): Job {
  return {
    name: 'expire-notifications',
    cron: '47 3 * * *',
    run: async () => ({
      deleted: await deleteOldNotifications(store, new Date(clock() - KEEP_MS)),
      subscriptions: await deleteOldSubscriptions(store, { unused: new Date(clock() - UNUSED_MS), failing: new Date(clock() - FAILING_MS) }),
    }),
  }
}
