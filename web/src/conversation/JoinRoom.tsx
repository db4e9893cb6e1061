/** A room that the user is not in: what it is, and a way in, by an invite if the address brings one. */
import { useEffect, useState } from 'react'
import ArrowBack from '@mui/icons-material/ArrowBack'
import MeetingRoomOutlined from '@mui/icons-material/MeetingRoomOutlined'
import Alert from '@mui/material/Alert'
import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import IconButton from '@mui/material/IconButton'
import TextField from '@mui/material/TextField'
import type { MillraceError } from 'millrace/client'
import type { Room } from '../api/types.ts'
import { go, useRoute } from '../app/route.ts'
import { useChat } from '../chat/context.tsx'
import { Empty } from '../ui/Empty.tsx'
import { useSubmit } from '../ui/useSubmit.ts'

export function JoinRoom ({ roomId, isWide }: { roomId: string, isWide: boolean }) {
  const chat = useChat()
  const { invite } = useRoute()
  const [room, setRoom] = useState<Room | null>()
  const [refused, setRefused] = useState<string>()
  const [password, setPassword] = useState('')
  useEffect(() => {
    let isCurrent = true
    chat.api.room(roomId).then(found => { if (isCurrent) setRoom(found) }, ({ code }: MillraceError) => { if (isCurrent) { setRoom(null); setRefused(code) } })
    return () => { isCurrent = false }
  }, [chat, roomId])
  const { submit, isBusy, error } = useSubmit(async () => {
    await chat.api.join(roomId, invite !== undefined ? { invite } : password !== '' ? { password } : {})
    await chat.entered(roomId)
    go(roomId)
  })
  if (room === undefined) return null
  // Whoever was put out of a public room may not look at it, but come in again.
  const isOut = refused === 'not_member'
  const canJoin = invite !== undefined || isOut || (room !== null && (room.kind === 'public' || room.kind === 'protected'))
  return (
    <>
      {!isWide && <Box sx={{ p: 1 }}><IconButton aria-label='Back to the rooms' onClick={() => { go() }}><ArrowBack /></IconButton></Box>}
      <Empty icon={<MeetingRoomOutlined sx={{ fontSize: 52 }} />} title={room?.name ?? (invite !== undefined ? 'You are invited' : isOut ? 'You are not in this room' : refused === 'banned' ? 'You are banned from this room' : 'There is no such room')} text={room?.topic ?? (canJoin ? 'Come in to read and write.' : refused === 'banned' ? 'Those who keep order in it can lift the ban.' : 'It does not exist, or it is not yours to read.')}>
        {error !== undefined && <Alert severity='error' sx={{ mt: 1 }}>{error}</Alert>}
        {room?.kind === 'protected' && invite === undefined && <TextField type='password' label='Password of the room' value={password} onKeyDown={event => { if (event.key === 'Enter') submit() }} onChange={event => { setPassword(event.target.value) }} sx={{ mt: 1, maxWidth: 280 }} autoComplete='off' />}
        {canJoin && <Button variant='contained' loading={isBusy} onClick={submit} sx={{ mt: 1.5 }}>Join</Button>}
      </Empty>
    </>
  )
}
