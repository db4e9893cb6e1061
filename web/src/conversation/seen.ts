/** Tells when messages were seen: they stood in the viewport while the page was visible and had the focus. One observer for all. */
import { useEffect, type RefObject } from 'react'

/** How much of a message must be in sight. */
const SEEN_RATIO = 0.5

/** What is to be called when its element is seen. */
const waiting = new Map<Element, () => void>()
/** Of these, those that stood in the viewport. */
const inSight = new Set<Element>()
let observer: IntersectionObserver | undefined

export const isAttentive = (): boolean => document.visibilityState === 'visible' && document.hasFocus()

function forget (element: Element): void {
  waiting.delete(element)
  inSight.delete(element)
  observer?.unobserve(element)
}

function tell (): void {
  if (!isAttentive()) return
  for (const element of [...inSight]) {
    const seen = waiting.get(element)
    forget(element)
    seen?.()
  }
}

function observe (element: Element, seen: () => void): void {
  if (observer === undefined) {
    observer = new IntersectionObserver(entries => {
      for (const { target, isIntersecting, intersectionRatio, intersectionRect, rootBounds } of entries) {
        const isTall = rootBounds !== null && intersectionRect.height > rootBounds.height / 3
        if (isIntersecting && (intersectionRatio >= SEEN_RATIO || isTall) && waiting.has(target)) inSight.add(target)
      }
      tell()
    }, { threshold: [0, SEEN_RATIO] })
    window.addEventListener('focus', tell)
    document.addEventListener('visibilitychange', tell)
  }
  waiting.set(element, seen)
  observer.observe(element)
}

/** Calls `seen` once when the element was seen, if anybody wants to know (`isWanted`). */
export function useSeen (ref: RefObject<HTMLElement | null>, isWanted: boolean, seen: () => void): void {
  useEffect(() => {
    const element = ref.current
    if (!isWanted || element === null) return
    observe(element, seen)
    return () => { forget(element) }
  }, [ref, isWanted, seen])
}
