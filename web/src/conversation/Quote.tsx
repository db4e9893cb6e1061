/** The message that another one answers: who said what, on a line that leads there. Fetched if it is not in the window. */
import { useEffect, useState } from 'react'
import type { MessageItem } from '../api/types.ts'
import { useChat, usePerson } from '../chat/context.tsx'
import { useActions } from './actions.ts'
import { Summary } from './Content.tsx'

type Quoted = Pick<MessageItem, 'user_id' | 'content' | 'deleted'>

export function useQuoted (seq: number): Quoted | undefined {
  const { timeline } = useActions()
  const { api } = useChat()
  const here = timeline.messageAt(seq)
  const [fetched, setFetched] = useState<Quoted>()
  const isHere = here !== undefined
  useEffect(() => {
    if (isHere) return
    let isCurrent = true
    api.message(timeline.room.id, seq).then(message => { if (isCurrent) setFetched(message) }, () => {})
    return () => { isCurrent = false }
  }, [api, timeline, seq, isHere])
  return here ?? fetched
}

export function Quote ({ seq }: { seq: number }) {
  const { jump } = useActions()
  const quoted = useQuoted(seq)
  const author = usePerson(quoted?.user_id ?? '')
  return (
    <button type='button' className='mr-quote' onClick={() => { jump(seq) }}>
      <span className='mr-hidden'>An answer to </span>
      <span className='mr-quote-name'>{author?.display_name ?? '…'}</span>
      <span className='mr-quote-text'>{quoted === undefined ? '…' : quoted.deleted === true ? <em>deleted</em> : <Summary text={quoted.content} />}</span>
    </button>
  )
}
