/** The bar of a panel: what it is, and the way out. */
import type { ReactNode } from 'react'
import Close from '@mui/icons-material/Close'
import Box from '@mui/material/Box'
import IconButton from '@mui/material/IconButton'
import Typography from '@mui/material/Typography'

/** @param closes what the button is called · @param sub a second line */
export function PanelHeader ({ title, sub, closes, onClose }: { title: string, sub?: ReactNode, closes: string, onClose: () => void }) {
  return (
    <Box component='header' sx={{ display: 'flex', alignItems: 'center', height: 60, px: 2, flexShrink: 0, borderBottom: 1, borderColor: 'divider' }}>
      <Box sx={{ flex: 1, minWidth: 0 }}>
        <Typography variant='h6' component='h2' noWrap sx={{ lineHeight: 1.3 }}>{title}</Typography>
        {sub !== undefined && <Typography variant='body2' color='textSecondary' noWrap sx={{ fontSize: 12.5, lineHeight: 1.3 }}>{sub}</Typography>}
      </Box>
      <IconButton edge='end' aria-label={closes} onClick={onClose}><Close /></IconButton>
    </Box>
  )
}
