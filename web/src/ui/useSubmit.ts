/** One thing at a time that may fail: whether it is under way, and what was wrong. */
import { useState } from 'react'
import type { MillraceError } from 'millrace/client'

const SAID: Readonly<Record<string, string>> = { unreachable: 'There is no connection: try again when you are online.' }

export function useSubmit (run: () => Promise<void>): { submit: () => void, isBusy: boolean, error: string | undefined, code: string | undefined } {
  const [isBusy, setBusy] = useState(false)
  const [failure, setFailure] = useState<MillraceError>()
  const submit = (): void => {
    if (isBusy) return
    setBusy(true)
    setFailure(undefined)
    run().catch((error: MillraceError) => { setFailure(error) }).finally(() => { setBusy(false) })
  }
  return { submit, isBusy, error: failure === undefined ? undefined : SAID[failure.code] ?? failure.message, code: failure?.code }
}
