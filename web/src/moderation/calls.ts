/** What those do who keep order in a room, and what they may look at. */
import type { Api } from '../api/calls.ts'
import { query } from '../api/calls.ts'
import type { List, Role } from '../api/types.ts'
import type { GivenRole } from './permissions.ts'

export interface Banned { readonly user_id: string, readonly username: string, readonly display_name: string, readonly until?: string }

/** Something that was done in a room, to be looked at by those who keep order. */
export interface Audited {
  readonly seq: number
  readonly type: string
  readonly user_id: string
  readonly timestamp: string
  readonly operator?: true
  readonly target?: string
  readonly reason?: string
  readonly until?: string
  readonly lifted?: boolean
  readonly role?: Role
  readonly message_seq?: number
  readonly author?: string
  readonly added?: boolean
  readonly change?: 'created' | 'updated' | 'deleted'
  readonly name?: string
  readonly topic?: string
  readonly archived?: boolean
}
export interface AuditPage { readonly items: readonly Audited[], readonly next: number | null }

export interface Lay { readonly until?: string, readonly reason?: string }

const AUDIT_PAGE = 50

export function moderation ({ ask, put, remove }: Api, roomId: string) {
  const room = `/rooms/${roomId}`
  return {
    async kick (user: string, reason?: string) {
      // a body on DELETE: the reason is no part of the address, which is logged
      await ask(`${room}/members/${user}`, { method: 'DELETE', ...(reason !== undefined && { body: { reason } }) })
    },
    ban: async (user: string, lay: Lay) => { await put(`${room}/bans/${user}`, lay) },
    liftBan: async (user: string) => { await remove(`${room}/bans/${user}`) },
    mute: async (user: string, lay: Lay) => { await put(`${room}/mutes/${user}`, lay) },
    liftMute: async (user: string) => { await remove(`${room}/mutes/${user}`) },
    giveRole: async (user: string, role: GivenRole) => { await put(`${room}/members/${user}`, { role }) },
    bans: async (after?: string) => await ask<List<Banned>>(`${room}/bans${query({ after })}`),
    audit: async (before?: number) => await ask<AuditPage>(`${room}/audit${query({ before, limit: AUDIT_PAGE })}`),
  }
}
