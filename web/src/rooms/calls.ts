/** What can be done with a room itself: its settings, its invites, how much one hears of it. */
import type { Api } from '../api/calls.ts'
import type { List, Room } from '../api/types.ts'

export interface Invite { readonly id: string, readonly room_id: string, readonly created_by: string, readonly created_at: string, readonly expires_at: string, readonly uses: number, readonly used: number }
/** The code is shown this once. */
export interface NewInvite extends Invite { readonly code: string }

export type RoomChange = Partial<Pick<Room, 'name' | 'topic' | 'history' | 'slow_mode_s' | 'members_max' | 'archived' | 'retention_days'>> & { password?: string }
export type Level = 'all' | 'mentions' | 'none'

export function roomCalls ({ ask, post, put, patch, remove }: Api, roomId: string) {
  const room = `/rooms/${roomId}`
  return {
    change: async (change: RoomChange) => { await patch(room, change) },
    remove: async () => { await remove(room) },
    add: async (user: string) => { await put(`${room}/members/${user}`, {}) },
    invites: async () => await ask<List<Invite>>(`${room}/invites`),
    /** @param expires_in seconds */
    invite: async (expires_in: number, uses: number | undefined) => await post<NewInvite>(`${room}/invites`, { expires_in, ...(uses !== undefined && { uses }) }),
    revoke: async (invite: string) => { await remove(`${room}/invites/${invite}`) },
    notify: async (level: Level) => { await put(`${room}/notifications`, { level }) },
  }
}

export const inviteHref = (roomId: string, code: string): string => `${location.origin}/#/invite/${roomId}/${encodeURIComponent(code)}`
