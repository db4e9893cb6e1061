/** All keys that there are. */
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Dialog from '@mui/material/Dialog'
import DialogActions from '@mui/material/DialogActions'
import DialogContent from '@mui/material/DialogContent'
import DialogTitle from '@mui/material/DialogTitle'
import Typography from '@mui/material/Typography'
import { SHORTCUTS } from './shortcuts.ts'

const KEY = { display: 'inline-block', minWidth: 26, px: 0.75, py: 0.125, border: 1, borderColor: 'divider', borderBottomWidth: 2, borderRadius: 1.5, bgcolor: 'background.default', fontFamily: 'inherit', fontSize: 12.5, fontWeight: 600, textAlign: 'center' } as const

export default function Shortcuts ({ onClose }: { onClose: () => void }) {
  return (
    <Dialog open onClose={onClose} aria-labelledby='shortcuts-title'>
      <DialogTitle id='shortcuts-title'>Keyboard shortcuts</DialogTitle>
      <DialogContent tabIndex={0}>
        {SHORTCUTS.map(({ title, keys }) => (
          <Box key={title} sx={{ mb: 2 }}>
            <Typography variant='overline' component='h3' color='textSecondary'>{title}</Typography>
            <Box component='dl' sx={{ m: 0 }}>
              {keys.map(({ keys, does }) => (
                <Box key={does} sx={{ display: 'flex', alignItems: 'center', gap: 2, py: 0.625 }}>
                  <Box component='dt' sx={{ flex: 1, fontSize: 14 }}>{does}</Box>
                  <Box component='dd' sx={{ m: 0, display: 'flex', gap: 0.5 }}>{keys.map(key => <Box key={key} component='kbd' sx={KEY}>{key}</Box>)}</Box>
                </Box>
              ))}
            </Box>
          </Box>
        ))}
      </DialogContent>
      <DialogActions><Button autoFocus onClick={onClose}>Close</Button></DialogActions>
    </Dialog>
  )
}
