/** Finds people by the beginning of their names. */
import { useCallback, useState, type ReactNode } from 'react'
import Box from '@mui/material/Box'
import List from '@mui/material/List'
import ListItem from '@mui/material/ListItem'
import ListItemButton from '@mui/material/ListItemButton'
import TextField from '@mui/material/TextField'
import Typography from '@mui/material/Typography'
import type { User } from '../api/types.ts'
import { useChat } from '../chat/context.tsx'
import { Avatar } from '../ui/Avatar.tsx'
import { useSearch } from '../ui/useSearch.ts'

interface PeoplePickerProps {
  onPick: (user: User) => void
  /** Those who are picked already. */
  picked?: ReadonlySet<string>
  /** Stands at the end of each line. */
  end?: (user: User) => ReactNode
  autoFocus?: boolean
}

export function PeoplePicker ({ onPick, picked, end, autoFocus = false }: PeoplePickerProps) {
  const { api } = useChat()
  const [name, setName] = useState('')
  const { found, error } = useSearch(name.trim(), useCallback(async (text: string) => await api.findUsers(text), [api]))
  return (
    <>
      <TextField autoFocus={autoFocus} label='User name' value={name} onChange={event => { setName(event.target.value) }} sx={{ mt: 1 }} autoComplete='off' slotProps={{ htmlInput: { autoCapitalize: 'none', spellCheck: false } }} />
      <List sx={{ height: 260, overflowY: 'auto', mx: -1 }} aria-label='People'>
        {error !== undefined && <Typography color='error' variant='body2' sx={{ p: 1 }}>{error.message}</Typography>}
        {found?.items.length === 0 && <Typography variant='body2' color='textSecondary' sx={{ p: 2, textAlign: 'center' }}>Nobody’s name begins like that.</Typography>}
        {found?.items.map(user => (
          <ListItem key={user.id} disablePadding>
            <ListItemButton onClick={() => { onPick(user) }} selected={picked?.has(user.id) ?? false} sx={{ borderRadius: 2, gap: 1.5, px: 1 }}>
              <Avatar id={user.id} name={user.display_name} url={user.avatar_url} />
              <Box sx={{ flex: 1, minWidth: 0 }}>
                <Typography noWrap sx={{ fontWeight: 600 }}>{user.display_name}</Typography>
                <Typography variant='body2' color='textSecondary' noWrap>@{user.username}{user.kind === 'guest' ? ' · guest' : ''}</Typography>
              </Box>
              {end?.(user)}
            </ListItemButton>
          </ListItem>
        ))}
      </List>
    </>
  )
}
