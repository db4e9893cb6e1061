/**
 * Staying at the end of a list that grows. Whoever is there stays there, however fast messages come and whatever grows above; only scrolling up
 * leaves it. (A list's own "at the bottom" says no for a moment whenever much comes at once, and would lose those who read along.) The place alone
 * does not tell who moved: a list that corrects its heights while more comes moves up as well. So it takes a wheel, a key, a finger or a press, or
 * the very top of a list at rest. (`scrollToIndex` is not used for it: it goes there again and again while more comes, whatever the reader does meanwhile.)
 */
import { useCallback, useEffect, useRef, useState } from 'react'

/** Pixels from the end that still count as being there. */
const AT_END_PX = 120
/** Frames after a change within which all heights are known, mostly; and milliseconds within which what moves the list without a hand is the list itself. */
const SETTLING_FRAMES = 10
const SETTLING_MS = 1_000
/** Pixels up that are a movement. */
const MOVED_PX = 3
/** Milliseconds after the reader's hand within which a movement is the reader's. */
const MEANT_MS = 1_000
/** What a hand does; a wheel only upwards. */
const HANDS = ['wheel', 'touchmove', 'pointerdown', 'keydown'] as const

export function useEnd (begins: boolean, hasNewer: boolean) {
  const [isAtEnd, setAtEnd] = useState(begins && !hasNewer)
  const follows = useRef(begins && !hasNewer)
  const scroller = useRef<HTMLElement>(null)
  const lastTop = useRef(0)
  const meantAt = useRef(-Infinity)

  const settling = useRef({ request: 0, frames: 0, until: 0 })

  const stay = useCallback(() => {
    const step = (): void => {
      const element = scroller.current
      if (!follows.current || element === null) return
      element.scrollTo({ top: element.scrollHeight })
      if (--settling.current.frames > 0) settling.current.request = requestAnimationFrame(step)
    }
    cancelAnimationFrame(settling.current.request)
    settling.current.frames = SETTLING_FRAMES
    settling.current.until = performance.now() + SETTLING_MS
    step()
  }, [])
  useEffect(() => () => { cancelAnimationFrame(settling.current.request) }, [])

  const onScroll = useCallback(() => {
    const element = scroller.current
    if (element === null) return
    const { scrollTop: top, scrollHeight: height, clientHeight } = element
    const isThere = height - top - clientHeight <= AT_END_PX
    const now = performance.now()
    const isSettling = settling.current.frames > 0
    const isMeant = now - meantAt.current < MEANT_MS || (top <= 0 && !isSettling) // a list that fills up begins at its top now and then
    const isUp = isMeant && top < lastTop.current - MOVED_PX
    lastTop.current = top
    if (isThere || isUp) follows.current = isThere && !hasNewer
    setAtEnd(follows.current)
    if (follows.current && isThere && !isMeant && height - top - clientHeight > MOVED_PX && now < settling.current.until && !isSettling) stay()
  }, [hasNewer, stay])

  const scrollerRef = useCallback((element: HTMLElement | Window | null) => { scroller.current = element as HTMLElement | null }, [])

  useEffect(() => {
    const element = scroller.current
    const mean = (event: Event): void => {
      if (event instanceof WheelEvent && event.deltaY >= 0) return
      meantAt.current = performance.now()
      cancelAnimationFrame(settling.current.request) // nothing pulls against the hand
      settling.current.frames = 0
    }
    element?.addEventListener('scroll', onScroll, { passive: true })
    for (const name of HANDS) element?.addEventListener(name, mean, { passive: true })
    const resized = new ResizeObserver(stay) // the composer grows, a keyboard comes
    if (element !== null) resized.observe(element)
    return () => {
      element?.removeEventListener('scroll', onScroll)
      for (const name of HANDS) element?.removeEventListener(name, mean)
      resized.disconnect()
    }
  }, [onScroll, stay])

  return { isAtEnd, follows, stay, scroller, scrollerRef }
}
