/** Who is typing, on a line that is always as high, so that nothing moves. */
import { usePerson } from '../chat/context.tsx'
import { useValue } from '../chat/observable.ts'
import type { Timeline } from '../chat/timeline.ts'

export function TypingLine ({ timeline }: { timeline: Timeline }) {
  const users = useValue(timeline.typing.users)
  const first = usePerson(users[0] ?? '')?.display_name
  const second = usePerson(users[1] ?? '')?.display_name
  const text = users.length === 0
    ? ''
    : users.length === 1 ? `${first ?? 'Somebody'} is typing` : users.length === 2 ? `${first ?? 'Somebody'} and ${second ?? 'somebody'} are typing` : 'Several people are typing'
  return <div className='mr-typing' aria-live='polite' data-testid='typing'>{text !== '' && <>{text}<span className='mr-dots' aria-hidden><i /><i /><i /></span></>}</div>
}
