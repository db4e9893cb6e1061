/** What is in the user's own menu: who they are, how it looks, settings, another account, and the way out. Loaded when it is opened for the first time. */
import DarkModeOutlined from '@mui/icons-material/DarkModeOutlined'
import LightModeOutlined from '@mui/icons-material/LightModeOutlined'
import Logout from '@mui/icons-material/Logout'
import PersonAddAlt from '@mui/icons-material/PersonAddAlt'
import SettingsBrightness from '@mui/icons-material/SettingsBrightness'
import SettingsOutlined from '@mui/icons-material/SettingsOutlined'
import Box from '@mui/material/Box'
import Divider from '@mui/material/Divider'
import ListItemIcon from '@mui/material/ListItemIcon'
import MenuItem from '@mui/material/MenuItem'
import MenuList from '@mui/material/MenuList'
import Popover from '@mui/material/Popover'
import { useColorScheme } from '@mui/material/styles'
import ToggleButton from '@mui/material/ToggleButton'
import ToggleButtonGroup from '@mui/material/ToggleButtonGroup'
import Typography from '@mui/material/Typography'
import { useChat, useMe } from '../chat/context.tsx'
import { useValue } from '../chat/observable.ts'
import { ownStatus, setStatus, type OwnStatus } from '../people/status.ts'
import { openDialog } from './dialogs.tsx'

export default function AccountPopover ({ anchor, onClose }: { anchor: HTMLElement | null, onClose: () => void }) {
  const chat = useChat()
  const me = useMe()
  const pick = (then: () => void) => () => {
    onClose()
    then()
  }
  const name = me?.display_name ?? chat.account.username
  return (
    <Popover anchorEl={anchor} open={anchor !== null} onClose={onClose} anchorOrigin={{ vertical: 'bottom', horizontal: 'right' }} transformOrigin={{ vertical: 'top', horizontal: 'right' }} slotProps={{ paper: { sx: { minWidth: 240, mt: 0.5 } } }}>
      <Box sx={{ px: 2, pt: 2, pb: 1 }}>
        <Typography variant='subtitle2' noWrap>{name}</Typography>
        <Typography variant='body2' color='textSecondary' noWrap>@{me?.username ?? chat.account.username}{me?.kind === 'guest' ? ' · guest' : ''}</Typography>
      </Box>
      <Box sx={{ px: 2, pb: 1.25 }}><StatusSwitch /></Box>
      <Box sx={{ px: 2, pb: 1.25 }}><ThemeSwitch /></Box>
      <Divider />
      <MenuList autoFocusItem aria-label='Your account'>
        <MenuItem onClick={pick(() => { openDialog('settings') })}><ListItemIcon><SettingsOutlined fontSize='small' /></ListItemIcon>Settings</MenuItem>
        <MenuItem onClick={pick(() => { window.open('/?another', '_blank', 'noopener') })}><ListItemIcon><PersonAddAlt fontSize='small' /></ListItemIcon>Another account in a new tab</MenuItem>
        <Divider component='li' />
        <MenuItem onClick={pick(() => { void chat.logOut() })}><ListItemIcon><Logout fontSize='small' /></ListItemIcon>Log out</MenuItem>
      </MenuList>
    </Popover>
  )
}

/** How others see that the user is, on this device. */
function StatusSwitch () {
  const { client } = useChat()
  const status = useValue(ownStatus)
  return (
    <ToggleButtonGroup exclusive fullWidth size='small' value={status} onChange={(_, next: OwnStatus | null) => { if (next !== null) setStatus(client, next) }} aria-label='My status'>
      <ToggleButton value='online'>Online</ToggleButton>
      <ToggleButton value='away'>Away</ToggleButton>
      <ToggleButton value='dnd' sx={{ whiteSpace: 'nowrap' }}>Do not disturb</ToggleButton>
    </ToggleButtonGroup>
  )
}

/** Light, dark, or as the system has it. */
export function ThemeSwitch () {
  const { mode, setMode } = useColorScheme()
  return (
    <ToggleButtonGroup exclusive fullWidth size='small' value={mode ?? 'system'} onChange={(_, next: 'light' | 'dark' | 'system' | null) => { if (next !== null) setMode(next) }} aria-label='Theme'>
      <ToggleButton value='light' aria-label='Light'><LightModeOutlined fontSize='small' /></ToggleButton>
      <ToggleButton value='system' aria-label='As the system'><SettingsBrightness fontSize='small' /></ToggleButton>
      <ToggleButton value='dark' aria-label='Dark'><DarkModeOutlined fontSize='small' /></ToggleButton>
    </ToggleButtonGroup>
  )
}
