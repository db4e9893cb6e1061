/** What was written and not sent, per room and thread, over reloads. */
import { ObservableMap } from './observable.ts'

const PREFIX = 'millrace-draft:'

export interface Draft { readonly text: string, readonly replyTo?: number | undefined }

export function createDrafts (userId: string) {
  const keyOf = (roomId: string): string => `${PREFIX}${userId}:${roomId}`
  return {
    /** Told when one is another; of those that were not touched since the page was loaded, ask. */
    texts: new ObservableMap<string>(),
    get (roomId: string): Draft {
      try {
        return JSON.parse(localStorage.getItem(keyOf(roomId)) ?? '{"text":""}') as Draft
      } catch {
        return { text: '' }
      }
    },
    set (roomId: string, draft: Draft): void {
      this.texts.set(roomId, draft.text)
      try {
        draft.text === '' && draft.replyTo === undefined ? localStorage.removeItem(keyOf(roomId)) : localStorage.setItem(keyOf(roomId), JSON.stringify(draft))
      } catch {} // no room left: a draft is not worth a word
    },
    clear (): void {
      for (const key of Object.keys(localStorage)) if (key.startsWith(`${PREFIX}${userId}:`)) localStorage.removeItem(key)
    },
  }
}

export type Drafts = ReturnType<typeof createDrafts>
