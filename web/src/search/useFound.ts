/** What a search finds, page by page: asked a moment after the last key, and only the last answer counts. What was found stays until there is another answer. */
import { useCallback, useEffect, useRef, useState } from 'react'
import type { MillraceError } from 'millrace/client'
import type { FoundItem } from '../api/types.ts'
import { useChat } from '../chat/context.tsx'

/** Milliseconds after the last key. */
const WAIT_MS = 250
/** Pages that are asked for at a time: one may be empty and yet have a next one, where what was found is gone by now. */
const PAGES_AT_ONCE_MAX = 4

export interface Found {
  readonly status: 'idle' | 'asking' | 'found' | 'failed'
  readonly items: readonly FoundItem[]
  readonly next: string | null
  readonly error?: MillraceError
  /** What was searched for. */
  readonly q: string
}
const NOTHING: Found = { status: 'idle', items: [], next: null, q: '' }

/** @param q the search; empty: nothing is asked · @param roomId where; undefined: everywhere · @param kept what an earlier panel had found */
export function useFound (q: string, roomId: string | undefined, kept: Found | undefined): { found: Found, more: () => void, again: () => void, isMore: boolean } {
  const { api } = useChat()
  const [found, setFound] = useState(kept ?? NOTHING)
  const [isMore, setMore] = useState(false)
  const [tries, setTries] = useState(0)
  const asked = useRef(0)
  const isKept = useRef(kept !== undefined)

  const pages = useCallback(async (before: string | undefined): Promise<Pick<Found, 'items' | 'next'>> => {
    const items: FoundItem[] = []
    let next: string | undefined = before
    for (let n = 0; n < PAGES_AT_ONCE_MAX; n++) {
      const page = await api.search(q, roomId, next)
      items.push(...page.items)
      if (page.next === null || items.length > 0) return { items, next: page.next }
      next = page.next
    }
    return { items, next: next ?? null }
  }, [api, q, roomId])

  useEffect(() => {
    if (isKept.current) { // it is what is asked for
      isKept.current = false
      return
    }
    const n = ++asked.current
    setMore(false)
    if (q === '') return setFound(NOTHING)
    setFound(now => ({ ...now, status: 'asking' }))
    const timer = setTimeout(() => {
      pages(undefined).then(
        page => { if (asked.current === n) setFound({ status: 'found', q, ...page }) },
        (error: MillraceError) => { if (asked.current === n) setFound({ status: 'failed', items: [], next: null, error, q }) }
      )
    }, WAIT_MS)
    return () => { clearTimeout(timer) }
  }, [q, pages, tries])

  const more = useCallback(() => {
    if (isMore || found.next === null || found.status !== 'found') return
    const n = asked.current
    setMore(true)
    pages(found.next).then(
      ({ items, next }) => { if (asked.current === n) setFound(now => ({ ...now, items: [...now.items, ...items], next })) },
      (error: MillraceError) => { if (asked.current === n) setFound(now => ({ ...now, error })) }
    ).finally(() => { if (asked.current === n) setMore(false) })
  }, [pages, found.next, found.status, isMore])

  return { found, more, isMore, again: useCallback(() => { setTries(n => n + 1) }, []) }
}
