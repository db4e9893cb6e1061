/** Invite links of a room: made here, for how long and how many; those that are good, with what was used of them; each can be revoked. */
import { useCallback, useState } from 'react'
import ContentCopy from '@mui/icons-material/ContentCopy'
import DeleteOutlined from '@mui/icons-material/DeleteOutlined'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import IconButton from '@mui/material/IconButton'
import InputAdornment from '@mui/material/InputAdornment'
import List from '@mui/material/List'
import ListItem from '@mui/material/ListItem'
import MenuItem from '@mui/material/MenuItem'
import TextField from '@mui/material/TextField'
import Typography from '@mui/material/Typography'
import { openDialog } from '../app/dialogs.tsx'
import { useChat, usePerson } from '../chat/context.tsx'
import type { RoomSummary } from '../chat/rooms.ts'
import { fully } from '../ui/times.ts'
import { useLoaded } from '../ui/useLoaded.ts'
import { useSubmit } from '../ui/useSubmit.ts'
import { inviteHref, roomCalls, type Invite } from './calls.ts'

const HOUR_S = 3_600
const TIMES: ReadonlyArray<[number, string]> = [[HOUR_S, 'An hour'], [24 * HOUR_S, 'A day'], [7 * 24 * HOUR_S, '7 days'], [30 * 24 * HOUR_S, '30 days']]
/** People that an invite lets in at most, where nothing else is said. */
const USES_MAX = 1_000
const USES: ReadonlyArray<[number, string]> = [[1, 'One person'], [10, '10 people'], [100, '100 people'], [USES_MAX, 'Up to 1,000 people']]

export function Invites ({ room }: { room: RoomSummary }) {
  const chat = useChat()
  const [seconds, setSeconds] = useState(7 * 24 * HOUR_S)
  const [uses, setUses] = useState(USES_MAX)
  const [link, setLink] = useState<string>()
  const { value, error, reload } = useLoaded(useCallback(async () => await roomCalls(chat.api, room.id).invites(), [chat, room.id]))
  const { submit, isBusy, error: failure } = useSubmit(async () => {
    const { code } = await roomCalls(chat.api, room.id).invite(seconds, uses)
    setLink(inviteHref(room.id, code))
    reload()
  })
  return (
    <Box sx={{ display: 'flex', flexDirection: 'column', gap: 2 }}>
      <Box component='form' aria-label='New invite link' onSubmit={event => { event.preventDefault(); submit() }} sx={{ display: 'flex', flexDirection: 'column', gap: 1.5 }}>
        <Box sx={{ display: 'flex', gap: 1, pt: 1 }}>
          <TextField select label='Good for' value={seconds} onChange={event => { setSeconds(Number(event.target.value)) }}>{TIMES.map(([is, said]) => <MenuItem key={is} value={is}>{said}</MenuItem>)}</TextField>
          <TextField select label='Lets in' value={uses} onChange={event => { setUses(Number(event.target.value)) }}>{USES.map(([is, said]) => <MenuItem key={is} value={is}>{said}</MenuItem>)}</TextField>
        </Box>
        <Button type='submit' variant='contained' loading={isBusy}>Make an invite link</Button>
        {failure !== undefined && <Alert severity='error'>{failure}</Alert>}
      </Box>
      {link !== undefined && <NewLink link={link} />}
      <Box>
        <Typography variant='subtitle2' component='h3'>Links that are good</Typography>
        {error !== undefined && <Alert severity='error'>{error.message}</Alert>}
        {value?.items.length === 0 && <Typography variant='body2' color='textSecondary' sx={{ py: 1.5 }}>There are none.</Typography>}
        <List disablePadding aria-label='Invite links'>{value?.items.map(invite => <Item key={invite.id} invite={invite} onRevoked={reload} />)}</List>
      </Box>
    </Box>
  )
}

/** The code is shown this once: afterwards only that there is such a link. */
function NewLink ({ link }: { link: string }) {
  const chat = useChat()
  const copy = (): void => { navigator.clipboard.writeText(link).then(() => { chat.say('The link is in the clipboard') }, () => { chat.say('Select the link and copy it', 'error') }) }
  return (
    <TextField
      label='Invite link' value={link} onFocus={event => { event.target.select() }} helperText='It is shown this once: copy it now'
      slotProps={{ htmlInput: { readOnly: true, 'data-testid': 'invite-link' }, input: { endAdornment: <InputAdornment position='end'><IconButton edge='end' aria-label='Copy the link' onClick={copy}><ContentCopy fontSize='small' /></IconButton></InputAdornment> } }}
    />
  )
}

function Item ({ invite, onRevoked }: { invite: Invite, onRevoked: () => void }) {
  const chat = useChat()
  const maker = usePerson(invite.created_by)
  const revoke = (): void => {
    openDialog('confirm', {
      title: 'Revoke this link?',
      text: 'Nobody comes in by it any more. Those who did stay.',
      action: 'Revoke',
      async run () {
        await roomCalls(chat.api, invite.room_id).revoke(invite.id)
        onRevoked()
      },
    })
  }
  return (
    <ListItem disableGutters data-testid='invite' secondaryAction={<IconButton edge='end' aria-label='Revoke this link' onClick={revoke}><DeleteOutlined fontSize='small' /></IconButton>}>
      <Box sx={{ minWidth: 0 }}>
        <Typography sx={{ fontSize: 14, fontWeight: 600 }}>{invite.used} of {invite.uses} used</Typography>
        <Typography variant='body2' color='textSecondary' sx={{ fontSize: 12.5 }}>by {invite.created_by === chat.userId ? 'you' : maker?.display_name ?? '…'}, until {fully(invite.expires_at)}</Typography>
      </Box>
    </ListItem>
  )
}
