/** A long press with a finger: what a right click is with a mouse. A finger that moves is scrolling, and presses nothing. */
import { useMemo, useRef, type PointerEvent } from 'react'

/** Milliseconds that the finger stays. */
const PRESS_MS = 450
/** Pixels that it may move meanwhile. */
const MOVE_PX_MAX = 10

interface LongPress {
  /** For the element. */
  handlers: {
    onPointerDown: (event: PointerEvent) => void
    onPointerMove: (event: PointerEvent) => void
    onPointerUp: () => void
    onPointerCancel: () => void
  }
  /** Whether the press that has just ended was a long one: the click that follows it means nothing. */
  wasLong: () => boolean
}

export function useLongPress (pressed: () => void): LongPress {
  const latest = useRef(pressed)
  latest.current = pressed
  return useMemo(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    let from = { x: 0, y: 0 }
    let long = false
    const end = (): void => { clearTimeout(timer) }
    return {
      handlers: {
        onPointerDown ({ pointerType, clientX, clientY }) {
          long = false
          if (pointerType !== 'touch') return
          from = { x: clientX, y: clientY }
          timer = setTimeout(() => {
            long = true
            latest.current()
          }, PRESS_MS)
        },
        onPointerMove ({ clientX, clientY }) { if (Math.hypot(clientX - from.x, clientY - from.y) > MOVE_PX_MAX) end() },
        onPointerUp: end,
        onPointerCancel: end,
      },
      wasLong: () => long,
    }
  }, [])
}
