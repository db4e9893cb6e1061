/**
 * What `millrace/client` keeps for an account: commands that are not acked yet and the refresh token of a tab. Positions of rooms are not
 * kept here: they stand beside the messages that they belong to (`cache.ts`), so that neither is ever ahead of the other.
 */
import { indexedDbStore, localStorageStore, type Store } from 'millrace/client'
import type { Account } from './account.ts'

export function storeOf ({ id, of }: Pick<Account, 'id' | 'of'>): Store {
  const store = of === 'browser' ? indexedDbStore(`millrace-${id}`) : localStorageStore(`millrace-${id}`, sessionStorage)
  const isRoom = (key: string): boolean => key.startsWith('at:') && key !== 'at:inbox'
  return {
    ...store,
    async set (key, value) { if (!isRoom(key)) await store.set(key, value) },
    list: async prefix => (await store.list(prefix)).filter(([key]) => !isRoom(key)),
  }
}

/** Nothing of it is kept, once its client is closed. @param butToken the refresh token of a tab's account is, to end its session with */
export async function forgetStore (account: Pick<Account, 'id' | 'of'>, butToken: boolean): Promise<void> {
  if (account.of === 'browser') {
    indexedDB.deleteDatabase(`millrace-${account.id}`)
    return
  }
  const store = storeOf(account)
  for (const [key] of await store.list('')) if (!butToken || key !== 'refresh') await store.delete(key)
}
