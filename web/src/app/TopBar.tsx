/** The bar above the list: whose page it is, the truth about the connection, and the user's own menu. */
import Box from '@mui/material/Box'
import Typography from '@mui/material/Typography'
import { WaveIcon } from '../ui/WaveIcon.tsx'
import { AccountMenu } from './AccountMenu.tsx'
import { ConnectionChip } from './ConnectionChip.tsx'

export function TopBar () {
  return (
    <Box component='header' sx={{ display: 'flex', alignItems: 'center', gap: 1, height: 60, px: 2, flexShrink: 0, borderBottom: 1, borderColor: 'divider' }}>
      <WaveIcon color='primary' sx={{ fontSize: 26 }} />
      <Typography component='h1' variant='h6' sx={{ flex: 1, minWidth: 0 }} noWrap>Millrace</Typography>
      <ConnectionChip />
      <AccountMenu />
    </Box>
  )
}
