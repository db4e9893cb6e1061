/** Where the facts for decisions come from in a running gateway: the log, Postgres, password hashes, and the limits. */
import type { Passwords } from './auth/passwords.ts'
import { usernameKey } from './auth/usernames.ts'
import type { Access } from './commands/access.ts'
import type { FactSources } from './commands/facts.ts'
import { may } from './domain/permissions.ts'
import { reject } from './domain/rejections.ts'
import type { Limits } from './limits/limits.ts'
import type { RoomLog } from './log/log.ts'
import { archivedAt, readArchive } from './store/archive.ts'
import { blockedAmong } from './store/contacts.ts'
import { redeemInvite } from './store/invites.ts'
import type { Store } from './store/pool.ts'
import { emojiOn } from './store/reactions.ts'
import { roomPasswordOf } from './store/room-passwords.ts'
import { existingUsers, usersByKeys } from './store/users.ts'

export function factSources ({ store, log, access, passwords, limits, clock }: { store: Store, log: RoomLog, access: Access, passwords: Passwords, limits: Limits, clock: () => number }): FactSources {
  const mayInvite = async (roomId: string, userId: string): Promise<boolean> => {
    const reading = await access.reading(roomId, userId)
    return reading.allowed && reading.inside && may(reading.room.kind, reading.member.role, 'invite')
  }
  return {
    log,
    archivedAt: async (roomId, seqs) => await archivedAt(store, roomId, seqs),
    emojiOn: async (roomId, seq) => await emojiOn(store, roomId, seq),
    usersNamed: async names => (await usersByKeys(store, names.map(usernameKey))).map(({ id }) => id),
    existing: async ids => ids.length === 0 ? new Set() : await existingUsers(store, ids),
    blocked: async (userId, others) => await blockedAmong(store, userId, others),
    archived: async roomId => (await readArchive(store, roomId, 0, 1)).length > 0,
    async passwordFits (roomId, password, userId) {
      const waitMs = await limits.take('room_passwords', `${roomId}:${userId}`)
      if (waitMs > 0) return reject('rate_limited', 'Too many guesses of this password', waitMs)
      const fits = await passwords.verify(password, await roomPasswordOf(store, roomId))
      return fits === 'overloaded' ? reject('overloaded', undefined, 1000) : fits
    },
    redeemInvite: async invite => await redeemInvite(store, { ...invite, now: new Date(clock()), mayInvite: async makerId => await mayInvite(invite.room_id, makerId) }),
    slot: limits.slot,
  }
}
