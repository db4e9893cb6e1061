/**
 * Between a room as commands see it and its two hashes in Redis (`meta`, `members`): reading them, and turning what an
 * event changes into patches. A member's record is one text, `role|muted until|banned until|joined seq`, so that a
 * precondition compares it whole and the append script can put the seq at its end.
 */
import { STRANGER, type Effect, type Member, type Role, type Room } from '../domain/room.ts'
import type { Patch, RoomHashes } from '../log/log.ts'

/** Reads the hashes into `room`. Members that were asked for and are not there are noted as strangers. */
export function roomFrom (room: Room, { meta, members }: RoomHashes): Room {
  const text = (field: string): string => meta.get(field) ?? ''
  room.kind = text('kind') as Room['kind']
  room.name = text('name')
  room.topic = text('topic')
  room.history = text('history') === 'joined' ? 'joined' : 'all'
  room.seq = Number(text('seq'))
  room.messages = Number(text('messages'))
  room.rules = Number(text('rules'))
  for (const [user, record] of members) room.members.set(user, memberFrom(record))
  return room
}

export function memberFrom (record: string): Member {
  if (record === '') return STRANGER
  const [role, muted, banned, joined] = record.split('|')
  return { role: role as Role, muted_until: Number(muted), banned_until: Number(banned), joined_seq: Number(joined) }
}

export function recordOf (member: Member): string {
  return member === STRANGER ? '' : `${member.role}|${member.muted_until}|${member.banned_until}|${member.joined_seq}`
}

/** The patch of an effect. */
export function patchOf (effect: Effect): Patch {
  switch (effect.on) {
    case 'meta': return ['set', 'meta', effect.field, effect.value]
    case 'count': return ['add', 'meta', effect.field, '1']
    case 'member': {
      const { role, muted_until, banned_until } = effect.member
      return effect.joins
        ? ['setseq', 'members', effect.user_id, `${role}|${muted_until}|${banned_until}|`]
        : ['set', 'members', effect.user_id, recordOf(effect.member)]
    }
  }
}
