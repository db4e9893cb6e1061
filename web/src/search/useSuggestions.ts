/** What may complete the piece of a search in which the caret stands: operators, people, rooms, days. */
import { useEffect, useMemo, useState } from 'react'
import { useChat, useRooms } from '../chat/context.tsx'
import { daysFrom, HINTS, operatorsLike, termOf, type Token } from './query.ts'

export interface Suggestion { readonly insert: string, readonly label: string, readonly says: string }

const SHOWN_MAX = 7
/** Milliseconds after the last key until people are asked for. */
const WAIT_MS = 150
const HAS = [['link', 'an address in it'], ['attachment', 'a file with it'], ['mention', 'somebody is named']] as const

export function useSuggestions ({ text, operator, value }: Token, isEverywhere: boolean): readonly Suggestion[] {
  const rooms = useRooms()
  const people = usePeopleLike(operator === 'from' ? value.replace(/^@/, '') : undefined)
  return useMemo(() => {
    const wanted = value.toLowerCase()
    switch (operator) {
      case undefined: return operatorsLike(text).filter(name => isEverywhere || name !== 'in').map(name => ({ insert: `${name}:`, label: `${name}:`, says: HINTS.find(({ insert }) => insert === `${name}:`)!.says }))
      case 'from': return people
      case 'in': return rooms.filter(({ kind, name }) => kind !== 'dm' && name !== '' && name.toLowerCase().includes(wanted.replace(/^#/, ''))).slice(0, SHOWN_MAX).map(({ name }) => ({ insert: termOf('in', name), label: name, says: '' }))
      case 'has': return HAS.filter(([name]) => name.startsWith(wanted)).map(([name, says]) => ({ insert: termOf('has', name), label: name, says }))
      default: return daysFrom(Date.now()).filter(({ day, says }) => day.startsWith(value) || says.toLowerCase().startsWith(wanted)).map(({ day, says }) => ({ insert: termOf(operator, day), label: says, says: day }))
    }
  }, [text, operator, value, rooms, people, isEverywhere]).filter(({ insert }) => insert !== text)
}

const NOBODY: readonly Suggestion[] = []

/** People whose names begin like this; of undefined nobody is asked for. */
function usePeopleLike (begin: string | undefined): readonly Suggestion[] {
  const { api } = useChat()
  const [found, setFound] = useState(NOBODY)
  useEffect(() => {
    if (begin === undefined) return
    let isCurrent = true
    const timer = setTimeout(() => {
      api.findUsers(begin, SHOWN_MAX).then(({ items }) => {
        if (isCurrent) setFound(items.map(({ username, display_name }) => ({ insert: termOf('from', username), label: display_name, says: `@${username}` })))
      }, () => {})
    }, WAIT_MS)
    return () => {
      isCurrent = false
      clearTimeout(timer)
    }
  }, [api, begin])
  return begin === undefined ? NOBODY : found
}
