/** Gives somebody another role in a room. */
import { useState } from 'react'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Dialog from '@mui/material/Dialog'
import DialogActions from '@mui/material/DialogActions'
import DialogContent from '@mui/material/DialogContent'
import DialogTitle from '@mui/material/DialogTitle'
import FormControlLabel from '@mui/material/FormControlLabel'
import Radio from '@mui/material/Radio'
import RadioGroup from '@mui/material/RadioGroup'
import Typography from '@mui/material/Typography'
import type { Role } from '../api/types.ts'
import { useChat } from '../chat/context.tsx'
import { useSubmit } from '../ui/useSubmit.ts'
import { moderation } from './calls.ts'
import { ROLE_NAMES, rolesToGive, type GivenRole } from './permissions.ts'

const TEXTS: Readonly<Record<GivenRole, string>> = {
  owner: 'Does everything, makes others owners, deletes the room',
  admin: 'Changes the room, gives roles below their own',
  moderator: 'Pins and deletes messages, mutes, removes, bans, invites',
  member: 'Reads and writes',
}

interface GiveRoleProps { roomId: string, roomName: string, userId: string, name: string, role: Role, myRole: Role, onClose: () => void }

export default function GiveRole ({ roomId, roomName, userId, name, role, myRole, onClose }: GiveRoleProps) {
  const chat = useChat()
  const now: GivenRole = role === 'none' || role === 'kicked' ? 'member' : role
  const [picked, setPicked] = useState<GivenRole>(now)
  const { submit, isBusy, error } = useSubmit(async () => {
    await moderation(chat.api, roomId).giveRole(userId, picked)
    onClose()
  })
  return (
    <Dialog open onClose={onClose} aria-labelledby='role-title'>
      <Box component='form' onSubmit={event => { event.preventDefault(); submit() }} sx={{ display: 'contents' }}>
        <DialogTitle id='role-title'>Role of {name}</DialogTitle>
        <DialogContent>
          <Typography variant='body2' color='textSecondary' sx={{ mb: 1 }}>In {roomName}.</Typography>
          {error !== undefined && <Alert severity='error' sx={{ mb: 1 }}>{error}</Alert>}
          <RadioGroup value={picked} onChange={(_, next) => { setPicked(next as GivenRole) }} aria-labelledby='role-title' sx={{ gap: 1 }}>
            {rolesToGive(myRole).map(given => (
              <FormControlLabel
                key={given} value={given} control={<Radio />}
                label={<><Typography sx={{ fontWeight: 600 }}>{ROLE_NAMES[given]}</Typography><Typography variant='body2' color='textSecondary'>{TEXTS[given]}</Typography></>}
              />
            ))}
          </RadioGroup>
          {picked === 'owner' && now !== 'owner' && <Alert severity='warning' sx={{ mt: 1.5 }}>An owner has the same say as you: you cannot take it back.</Alert>}
        </DialogContent>
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          <Button type='submit' variant='contained' loading={isBusy} disabled={picked === now}>Give the role</Button>
        </DialogActions>
      </Box>
    </Dialog>
  )
}
