/**
 * Keeping what one reads where it is while older messages come before it. The list itself puts them in at a guessed height, and is off by what the
 * guess was wrong; so the first message in sight is held where it was until their heights are known. Who scrolls meanwhile is let go.
 */
import { useLayoutEffect, useRef, type RefObject } from 'react'

/** Frames within which all heights are known. */
const FRAMES = 8

interface Place { readonly seq: string, readonly top: number }

function placeIn (scroller: HTMLElement): Place | undefined {
  const { top } = scroller.getBoundingClientRect()
  for (const row of scroller.querySelectorAll<HTMLElement>('[data-seq]')) {
    const rect = row.getBoundingClientRect()
    if (rect.bottom > top) return { seq: row.dataset.seq!, top: rect.top }
  }
  return undefined
}

/** @param firstIndex falls when older messages come */
export function usePlace (scroller: RefObject<HTMLElement | null>, firstIndex: number): void {
  const last = useRef(firstIndex)
  const place = useRef<Place>(undefined)
  if (firstIndex < last.current && scroller.current !== null) place.current = placeIn(scroller.current) // what is in the page is still as it was
  last.current = firstIndex

  useLayoutEffect(() => {
    const element = scroller.current
    const held = place.current
    place.current = undefined
    if (element === null || held === undefined) return
    let frames = 0
    let request = 0
    const fix = (): void => {
      const row = element.querySelector(`[data-seq="${held.seq}"]`)
      const moved = row === null ? 0 : row.getBoundingClientRect().top - held.top
      if (Math.abs(moved) > 1) element.scrollTop += moved
      if (++frames < FRAMES) request = requestAnimationFrame(fix)
    }
    const end = (): void => { cancelAnimationFrame(request) }
    request = requestAnimationFrame(fix)
    element.addEventListener('wheel', end, { passive: true })
    element.addEventListener('touchmove', end, { passive: true })
    return () => {
      end()
      element.removeEventListener('wheel', end)
      element.removeEventListener('touchmove', end)
    }
  }, [scroller, firstIndex])
}
