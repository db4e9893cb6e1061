/** Asks while somebody types: a moment after the last key, and only the last answer counts. */
import { useEffect, useState } from 'react'

/** Milliseconds after the last key. */
const WAIT_MS = 200

export function useSearch<T> (text: string, ask: (text: string) => Promise<T>): { found: T | undefined, error: Error | undefined } {
  const [state, setState] = useState<{ found: T | undefined, error: Error | undefined }>({ found: undefined, error: undefined })
  useEffect(() => {
    let isCurrent = true
    const timer = setTimeout(() => {
      ask(text).then(
        found => { if (isCurrent) setState({ found, error: undefined }) },
        (error: Error) => { if (isCurrent) setState({ found: undefined, error }) }
      )
    }, WAIT_MS)
    return () => {
      isCurrent = false
      clearTimeout(timer)
    }
  }, [text, ask])
  return state
}
