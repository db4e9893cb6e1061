/** Stands where one writes, for whoever is muted; goes by itself when its time is over. */
import { useEffect } from 'react'
import VolumeOffOutlined from '@mui/icons-material/VolumeOffOutlined'
import Alert from '@mui/material/Alert'
import { useChat } from '../chat/context.tsx'
import type { RoomSummary } from '../chat/rooms.ts'
import { fully } from '../ui/times.ts'

/** What a timer can wait for, in milliseconds. */
const TIMER_MS_MAX = 2 ** 31 - 1

export function isMuted ({ muted }: RoomSummary): boolean {
  return muted !== undefined && (muted.until === undefined || Date.parse(muted.until) > Date.now())
}

export function MutedNotice ({ room }: { room: RoomSummary }) {
  const { rooms } = useChat()
  const { until, reason } = room.muted ?? {}
  useEffect(() => {
    const ms = until === undefined ? Infinity : Date.parse(until) - Date.now()
    if (ms > TIMER_MS_MAX) return
    const timer = setTimeout(() => { rooms.change(room.id, { muted: undefined }) }, Math.max(0, ms))
    return () => { clearTimeout(timer) }
  }, [rooms, room.id, until])
  return (
    <Alert severity='warning' icon={<VolumeOffOutlined />} data-testid='muted' sx={{ mx: { xs: 1, sm: 2 }, mb: 1.5, flexShrink: 0 }}>
      You are muted in this room{until === undefined ? '' : ` until ${fully(until)}`}: you can read, but not write.{reason === undefined ? '' : ` Reason: ${reason}`}
    </Alert>
  )
}
