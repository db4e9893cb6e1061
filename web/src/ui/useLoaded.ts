/** What a route answers, asked when it is shown, and again when `again` is another; what was there stays until then. */
import { useCallback, useEffect, useState } from 'react'

interface Loaded<T> { value: T | undefined, error: Error | undefined }

/** @param ask the same function as long as the same is asked */
export function useLoaded<T> (ask: () => Promise<T>, again?: unknown): Loaded<T> & { reload: () => void } {
  const [state, setState] = useState<Loaded<T>>({ value: undefined, error: undefined })
  const [n, setN] = useState(0)
  useEffect(() => {
    let isCurrent = true
    ask().then(
      value => { if (isCurrent) setState({ value, error: undefined }) },
      (error: Error) => { if (isCurrent) setState(({ value }) => ({ value, error })) }
    )
    return () => { isCurrent = false }
  }, [ask, again, n])
  return { ...state, reload: useCallback(() => { setN(n => n + 1) }, []) }
}
