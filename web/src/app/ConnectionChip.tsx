/** What is true of the connection, in a word: live, catching up with how much, or offline with how much waiting. */
import Box from '@mui/material/Box'
import ButtonBase from '@mui/material/ButtonBase'
import Tooltip from '@mui/material/Tooltip'
import type { State } from 'millrace/client'
import { useChat, useConnection } from '../chat/context.tsx'
import { useValue } from '../chat/observable.ts'

interface Said { readonly label: string, readonly more: string, readonly colour: string, readonly isBusy: boolean }

const count = (n: number, one: string): string => `${n.toLocaleString('en')} ${one}${n === 1 ? '' : 's'}`

/** In words. `isPulled`: the user has cut the connection themselves. */
export function describe (state: State, isPulled: boolean): Said {
  const waiting = state.queued > 0 ? ` · ${state.queued} queued` : ''
  switch (state.name) {
    case 'live': return { label: state.queued > 0 ? `Live · sending ${state.queued}` : 'Live', more: 'Everything up to now is here', colour: 'success.main', isBusy: false }
    case 'catching up': return { label: `Catching up${state.events > 0 ? ` · ${count(state.events, 'event')}` : ''}`, more: 'Connected; what was missed is on its way', colour: 'warning.main', isBusy: true }
    case 'connecting': return { label: `Connecting${waiting}`, more: 'The server is asked to let us in', colour: 'warning.main', isBusy: true }
    case 'offline': return { label: `${isPulled ? 'Unplugged' : 'Offline'}${waiting}`, more: isPulled ? 'You have pulled the plug: put it back in the inspector' : `${state.reason?.message ?? 'There is no connection'}. It is tried again by itself; what you write is kept and sent then`, colour: 'error.main', isBusy: false }
    case 'stopped': return { label: 'Signed out', more: state.reason?.message ?? 'Sign in again', colour: 'error.main', isBusy: false }
  }
}

export function ConnectionChip ({ onClick }: { onClick?: () => void }) {
  const chat = useChat()
  const state = useConnection()
  const isPulled = useValue(chat.plug.pulled)
  const { label, more, colour, isBusy } = describe(state, isPulled)
  return (
    <Tooltip title={more}>
      <ButtonBase
        onClick={onClick ?? (() => { if (isPulled) chat.plug.push() })}
        data-testid='connection' data-state={state.name} role='status' aria-live='polite' aria-label={`Connection: ${label}`}
        sx={{ display: 'inline-flex', alignItems: 'center', gap: 0.875, height: 26, px: 1.125, borderRadius: 99, border: 1, borderColor: 'divider', bgcolor: 'background.paper', fontFamily: 'inherit', fontSize: 12, fontWeight: 600, color: 'text.primary', whiteSpace: 'nowrap' }}
      >
        <Box component='span' className={isBusy ? 'mr-pulse' : undefined} sx={{ width: 8, height: 8, borderRadius: '50%', bgcolor: colour, flexShrink: 0 }} />
        {label}
      </ButtonBase>
    </Tooltip>
  )
}
