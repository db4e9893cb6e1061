/** When the user is not to be disturbed: for a while, and every day between two times of the time zone that this browser is in. */
import { useCallback, useState } from 'react'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import FormControlLabel from '@mui/material/FormControlLabel'
import Switch from '@mui/material/Switch'
import TextField from '@mui/material/TextField'
import Typography from '@mui/material/Typography'
import { useChat } from '../chat/context.tsx'
import { clock, day } from '../ui/times.ts'
import { useLoaded } from '../ui/useLoaded.ts'
import { notificationCalls, type Quiet } from './calls.ts'

const HOUR_MS = 3_600_000
const MORNING_HOUR = 8
/** What is offered to somebody who has no hours yet. */
const NIGHT = { from: '22:00', to: '07:00' } as const

const inHours = (hours: number): Date => new Date(Date.now() + hours * HOUR_MS)

function tomorrow (): Date {
  const date = new Date()
  date.setDate(date.getDate() + 1)
  date.setHours(MORNING_HOUR, 0, 0, 0)
  return date
}

const FOR: ReadonlyArray<{ name: string, until: () => Date }> = [
  { name: '1 hour', until: () => inHours(1) },
  { name: '4 hours', until: () => inHours(4) },
  { name: 'Until tomorrow', until: tomorrow },
]

export function QuietTimes () {
  const chat = useChat()
  const { value: loaded, error } = useLoaded(useCallback(async () => await notificationCalls(chat.api).quiet(), [chat]))
  const [changed, setChanged] = useState<Quiet>()
  const quiet = changed ?? loaded
  const change = (what: Partial<Quiet>): void => {
    notificationCalls(chat.api).beQuiet(what).then(setChanged, (failure: Error) => { chat.say(failure.message, 'error') })
  }
  return (
    <Box component='section' aria-labelledby='quiet-title' data-testid='quiet'>
      <Typography variant='subtitle2' component='h3' id='quiet-title'>Do not disturb</Typography>
      {error !== undefined && <Alert severity='error'>{error.message}</Alert>}
      {quiet !== undefined && <Until until={quiet.dnd_until} onChange={dnd_until => { change({ dnd_until }) }} />}
      {quiet !== undefined && <Hours quiet={quiet} onChange={dnd_hours => { change({ dnd_hours, time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone }) }} />}
    </Box>
  )
}

function Until ({ until, onChange }: { until: string | null, onChange: (until: string | null) => void }) {
  const isQuiet = until !== null && Date.parse(until) > Date.now()
  return (
    <Box sx={{ display: 'flex', flexWrap: 'wrap', gap: 1, alignItems: 'center', my: 1 }}>
      {isQuiet
        ? <><Typography variant='body2' role='status'>Nothing until {day(until).toLowerCase() === 'today' ? '' : 'tomorrow, '}{clock(until)}</Typography><Button size='small' onClick={() => { onChange(null) }}>End it now</Button></>
        : <><Typography variant='body2' color='textSecondary'>Nothing for</Typography>{FOR.map(({ name, until }) => <Button key={name} size='small' variant='outlined' onClick={() => { onChange(until().toISOString()) }}>{name}</Button>)}</>}
    </Box>
  )
}

function Hours ({ quiet: { dnd_hours, time_zone }, onChange }: { quiet: Quiet, onChange: (hours: Quiet['dnd_hours']) => void }) {
  const set = (change: Partial<NonNullable<Quiet['dnd_hours']>>): void => {
    const hours = { ...NIGHT, ...dnd_hours, ...change }
    if (hours.from !== '' && hours.to !== '' && hours.from !== hours.to) onChange(hours) // else it is being typed
  }
  return (
    <>
      <FormControlLabel control={<Switch checked={dnd_hours !== null} onChange={(_, isOn) => { isOn ? set({}) : onChange(null) }} />} label='Nothing every day between' />
      {dnd_hours !== null && (
        <Box sx={{ display: 'flex', flexWrap: 'wrap', gap: 1.5, alignItems: 'center', mt: 1, '& .MuiTextField-root': { width: 150 } }}>
          <TextField key={`from ${dnd_hours.from}`} type='time' label='From' defaultValue={dnd_hours.from} onBlur={event => { if (event.target.value !== dnd_hours.from) set({ from: event.target.value }) }} />
          <TextField key={`to ${dnd_hours.to}`} type='time' label='To' defaultValue={dnd_hours.to} onBlur={event => { if (event.target.value !== dnd_hours.to) set({ to: event.target.value }) }} />
          <Typography variant='body2' color='textSecondary'>{time_zone}</Typography>
        </Box>
      )}
    </>
  )
}
