/** Whom the user keeps as contacts, and whom they have blocked. */
import { useCallback } from 'react'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import List from '@mui/material/List'
import ListItem from '@mui/material/ListItem'
import ListItemButton from '@mui/material/ListItemButton'
import Typography from '@mui/material/Typography'
import type { User } from '../api/types.ts'
import { openDialog } from '../app/dialogs.tsx'
import { useChat } from '../chat/context.tsx'
import { peopleCalls, type PeopleList } from '../people/calls.ts'
import { Avatar } from '../ui/Avatar.tsx'
import { useLoaded } from '../ui/useLoaded.ts'

export function People () {
  return (
    <Box sx={{ display: 'flex', flexDirection: 'column', gap: 2.5 }}>
      <Listed list='contacts' title='Contacts' none='You have no contacts. Add people from their profile.' action='Remove' said={name => `Remove ${name} from the contacts`} />
      <Listed list='blocks' title='Blocked' none='You have blocked nobody.' action='Unblock' said={name => `Unblock ${name}`} />
    </Box>
  )
}

interface ListedProps { list: PeopleList, title: string, none: string, action: string, said: (name: string) => string }

function Listed ({ list, title, none, action, said }: ListedProps) {
  const chat = useChat()
  const { value, error, reload } = useLoaded(useCallback(async () => await peopleCalls(chat.api).page(list), [chat, list]))
  const remove = ({ id }: User): void => { peopleCalls(chat.api).remove(list, id).then(reload, (failure: Error) => { chat.say(failure.message, 'error') }) }
  return (
    <Box component='section' aria-labelledby={`${list}-title`}>
      <Typography variant='subtitle2' component='h3' id={`${list}-title`}>{title}</Typography>
      {error !== undefined && <Alert severity='error'>{error.message}</Alert>}
      {value?.items.length === 0 && <Typography variant='body2' color='textSecondary' sx={{ py: 1 }}>{none}</Typography>}
      <List disablePadding aria-labelledby={`${list}-title`} sx={{ mx: -1 }}>
        {value?.items.map(({ user }) => (
          <ListItem key={user.id} disablePadding secondaryAction={<Button size='small' aria-label={said(user.display_name)} onClick={() => { remove(user) }}>{action}</Button>}>
            <ListItemButton onClick={() => { openDialog('profile', { userId: user.id }) }} sx={{ borderRadius: 2, gap: 1.5, px: 1 }}>
              <Avatar id={user.id} name={user.display_name} url={user.avatar_url} size={32} />
              <Box sx={{ minWidth: 0, pr: 6 }}>
                <Typography noWrap sx={{ fontWeight: 600, fontSize: 14 }}>{user.display_name}</Typography>
                <Typography variant='body2' color='textSecondary' noWrap sx={{ fontSize: 12.5 }}>@{user.username}</Typography>
              </Box>
            </ListItemButton>
          </ListItem>
        ))}
      </List>
    </Box>
  )
}
