/** A list of messages that were found: the arrow keys go through it, and more comes at its end. */
import type { KeyboardEvent, ReactNode } from 'react'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Skeleton from '@mui/material/Skeleton'
import { rove } from '../ui/roving.ts'

interface FoundListProps {
  label: string
  children: ReactNode
  /** Brings more; undefined: that is all. */
  more?: (() => void) | undefined
  isMore?: boolean
  /** The key that leads out of the list, upwards. */
  onUp?: () => void
}

export function FoundList ({ label, children, more, isMore = false, onUp }: FoundListProps) {
  const onKeyDown = (event: KeyboardEvent<HTMLElement>): void => {
    if (event.key === 'ArrowUp' && onUp !== undefined && document.activeElement === event.currentTarget.querySelector('[data-testid=found]')) {
      event.preventDefault()
      onUp()
    } else rove(event, '[data-testid=found]')
  }
  return (
    <>
      <Box component='ul' aria-label={label} onKeyDown={onKeyDown} sx={{ m: 0, p: 0, display: 'flex', flexDirection: 'column', gap: 1 }}>{children}</Box>
      {more !== undefined && <Button fullWidth loading={isMore} onClick={more} sx={{ mt: 1.5 }}>Show more</Button>}
    </>
  )
}

/** Something of it is on its way. */
export function FoundWaiting () {
  return <Box aria-busy aria-label='Loading' role='status' sx={{ display: 'flex', flexDirection: 'column', gap: 1 }}>{[0, 1, 2, 3].map(i => <Skeleton key={i} variant='rounded' height={84} sx={{ borderRadius: 1.25 }} />)}</Box>
}
