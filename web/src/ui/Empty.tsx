/** What stands where there is nothing yet: a picture, what it is, and what to do. */
import type { ReactNode } from 'react'
import Box from '@mui/material/Box'
import Typography from '@mui/material/Typography'

export function Empty ({ icon, title, text, children }: { icon?: ReactNode, title: string, text?: string, children?: ReactNode }) {
  return (
    <Box sx={{ flex: 1, display: 'flex', flexDirection: 'column', alignItems: 'center', justifyContent: 'center', textAlign: 'center', gap: 1, p: 4 }}>
      <Box sx={{ color: 'primary.main', opacity: 0.75, mb: 0.5 }}>{icon}</Box>
      <Typography variant='h6' component='p'>{title}</Typography>
      {text !== undefined && <Typography variant='body2' color='textSecondary' sx={{ maxWidth: 340 }}>{text}</Typography>}
      {children}
    </Box>
  )
}
