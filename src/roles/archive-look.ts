/** The archive's half of the look for first results. */
import type { ArchiveLook } from '../commands/first-results.ts'
import { findByClientIds } from '../store/archive.ts'
import type { Store } from '../store/pool.ts'

/** The archive's half of the look for first results. */
export function archiveLook (store: Store): ArchiveLook {
  return async (roomId, sent) => {
    const { archived, hits } = await findByClientIds(store, roomId, sent)
    return { checkpoint: archived, hits }
  }
}
