/** The list of those who may be meant, above what is being written. The focus stays in the text: the keys are dealt with there. */
import { useEffect, useRef } from 'react'
import CampaignOutlined from '@mui/icons-material/CampaignOutlined'
import Box from '@mui/material/Box'
import Paper from '@mui/material/Paper'
import { usePresence } from '../chat/context.tsx'
import { Avatar } from '../ui/Avatar.tsx'
import type { Nameable } from './naming.ts'
import { EVERYONE } from './useNames.ts'

interface NamesProps { id: string, names: readonly Nameable[], active: number, onPick: (name: Nameable) => void, onAt: (at: number) => void }

export const optionId = (id: string, i: number): string => `${id}-${i}`

export function Names ({ id, names, active, onPick, onAt }: NamesProps) {
  const list = useRef<HTMLUListElement>(null)
  useEffect(() => { list.current?.children[active]?.scrollIntoView({ block: 'nearest' }) }, [active])
  return (
    <Paper component='ul' ref={list} elevation={6} id={id} role='listbox' aria-label='People to name' data-testid='names' sx={{ position: 'absolute', zIndex: 1060, left: { xs: 8, sm: 16 }, right: { xs: 8, sm: 16 }, bottom: 'calc(100% + 4px)', maxWidth: 480, maxHeight: 'min(320px, 40vh)', overflowY: 'auto', m: 0, p: 0.75, listStyle: 'none', border: 1, borderColor: 'divider', borderRadius: 1.5 }}>
      {names.map((name, i) => (
        <Box
          key={name.user_id} component='li' id={optionId(id, i)} role='option' aria-selected={i === active} onMouseDown={event => { event.preventDefault() }} onClick={() => { onPick(name) }} onMouseMove={() => { onAt(i) }}
          sx={{ display: 'flex', alignItems: 'center', gap: 1.25, px: 1, py: 0.625, minHeight: 40, borderRadius: 1, cursor: 'pointer', bgcolor: i === active ? 'action.selected' : undefined }}
        >
          {name === EVERYONE ? <CampaignOutlined sx={{ width: 28, color: 'secondary.main' }} /> : <Face name={name} />}
          <Box component='span' sx={{ fontWeight: 650, fontSize: 14, overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' }}>{name.display_name}</Box>
          <Box component='span' sx={{ fontSize: 13, color: 'text.secondary', overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap', flexShrink: 0, maxWidth: '50%' }}>@{name.username}</Box>
        </Box>
      ))}
    </Paper>
  )
}

function Face ({ name: { user_id, display_name, avatar_url } }: { name: Nameable }) {
  const status = usePresence(user_id)
  return <Avatar id={user_id} name={display_name} url={avatar_url} size={28} status={status ?? 'offline'} />
}
