/** Settings: the user's profile, how it looks, notifications, sessions and password, people. Each part is a component of its own; to add one, write it and give it a line in SECTIONS. */
import { useState, type ComponentType } from 'react'
import Button from '@mui/material/Button'
import Dialog from '@mui/material/Dialog'
import DialogActions from '@mui/material/DialogActions'
import DialogContent from '@mui/material/DialogContent'
import DialogTitle from '@mui/material/DialogTitle'
import Tab from '@mui/material/Tab'
import Tabs from '@mui/material/Tabs'
import Typography from '@mui/material/Typography'
import { ThemeSwitch } from '../app/AccountPopover.tsx'
import { Notifications } from './Notifications.tsx'
import { Password } from './Password.tsx'
import { People } from './People.tsx'
import { Profile } from './Profile.tsx'
import { Sessions } from './Sessions.tsx'

const SECTIONS: ReadonlyArray<{ name: string, Content: ComponentType }> = [
  { name: 'Profile', Content: Profile },
  { name: 'Appearance', Content: Appearance },
  { name: 'Notifications', Content: Notifications },
  { name: 'Sessions', Content: Sessions },
  { name: 'Password', Content: Password },
  { name: 'People', Content: People },
]

export default function Settings ({ onClose, section = 0 }: { onClose: () => void, section?: number }) {
  const [at, setAt] = useState(section)
  const { Content } = SECTIONS[at]!
  return (
    <Dialog open onClose={onClose} maxWidth='sm' aria-labelledby='settings-title'>
      <DialogTitle id='settings-title'>Settings</DialogTitle>
      <Tabs value={at} onChange={(_, next: number) => { setAt(next) }} sx={{ px: 2, borderBottom: 1, borderColor: 'divider' }} variant='scrollable' aria-label='Sections'>
        {SECTIONS.map(({ name }) => <Tab key={name} label={name} />)}
      </Tabs>
      <DialogContent sx={{ minHeight: 320 }}><Content /></DialogContent>
      <DialogActions><Button onClick={onClose}>Close</Button></DialogActions>
    </Dialog>
  )
}

function Appearance () {
  return (
    <>
      <Typography variant='subtitle2' sx={{ mb: 1 }}>Theme</Typography>
      <ThemeSwitch />
    </>
  )
}
