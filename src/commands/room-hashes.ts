/**
 * Between a room as commands see it and its two hashes in Redis (`meta`, `members`): reading them, and turning what an
 * event changes into patches. A member's record is one text, `role|muted until|banned until|joined seq`, so that a
 * precondition compares it whole and the append script can put the seq at its end.
 */
import { setMeta, STRANGER, type Effect, type Member, type MetaField, type Role, type Room } from '../domain/room.ts'
import type { Patch, RoomHashes } from '../log/log.ts'

const META_FIELDS: readonly MetaField[] = ['kind', 'name', 'topic', 'history', 'members_max', 'message_chars_max', 'slow_mode_s', 'archived', 'retention_days', 'removed', 'peers']

/** Reads the hashes into `room`. Members that were asked for and are not there are noted as strangers. */
export function roomFrom (room: Room, { meta, members }: RoomHashes): Room {
  for (const field of META_FIELDS) {
    const value = meta.get(field)
    if (value !== undefined) setMeta(room, field, value)
  }
  const number = (field: string): number => Number(meta.get(field) ?? 0)
  room.seq = number('seq')
  room.messages = number('messages')
  room.rules = number('rules')
  room.count = number('members')
  room.owners = number('owners')
  for (const [user, record] of members) room.members.set(user, memberFrom(record))
  return room
}

export function memberFrom (record: string): Member {
  if (record === '') return STRANGER
  const [role, muted, banned, joined] = record.split('|')
  return { role: role as Role, muted_until: Number(muted), banned_until: Number(banned), joined_seq: Number(joined) }
}

export function recordOf (member: Member): string {
  return member === STRANGER ? '' : memberRecordOf(member)
}

export function memberRecordOf ({ role, muted_until, banned_until, joined_seq }: Omit<Member, 'role'> & { readonly role: string }): string {
  return `${role}|${muted_until}|${banned_until}|${joined_seq}`
}

/** The patch of an effect. @param nth which event of its unit it is of, from 0 */
export function patchOf (effect: Effect, nth: number): Patch {
  switch (effect.on) {
    case 'meta': return ['set', 'meta', effect.field, effect.value]
    case 'count': return ['add', 'meta', effect.field, String(effect.by)]
    case 'deleted': return ['mark', 'deleted', String(effect.message_seq), '']
    case 'member': {
      const { role, muted_until, banned_until } = effect.member
      return effect.joins
        ? [nth, 'members', effect.user_id, `${role}|${muted_until}|${banned_until}|`]
        : ['set', 'members', effect.user_id, recordOf(effect.member)]
    }
  }
}
