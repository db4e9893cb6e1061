/**
 * Facts: what a decision needs besides the room itself. Which messages a command names, whom its text mentions, whether a
 * password or an invite lets in, whether somebody is blocked, whether slow mode makes them wait. Most commands need none.
 *
 * Facts are gathered aside, while other sessions go on; a session's commands keep their order [G1]. A lookup that fails makes the command
 * wait and try again like any fault, but for what only adorns it: without Postgres, people talk on and names stay text.
 */
import type { Command, Facts, MessageFact } from '../domain/commands.ts'
import { namesIn } from '../domain/decide.ts'
import { RANK } from '../domain/permissions.ts'
import { isKnown, isMember, memberOf, type Room } from '../domain/room.ts'
import { reject, type Rejection } from '../domain/rejections.ts'
import { decodeEvent, type LogEvent } from '../log/codec.ts'
import type { RoomLog } from '../log/log.ts'

/** Where facts come from. Each throws where its store cannot be reached. */
export interface FactSources {
  log: Pick<RoomLog, 'at'>
  /** The events of the archive at these seqs. */
  archivedAt: (roomId: string, seqs: readonly number[]) => Promise<LogEvent[]>
  /** Different emoji on a message, as the read model knows. */
  emojiOn: (roomId: string, seq: number) => Promise<string[]>
  /** IDs of users with these names. */
  usersNamed: (names: readonly string[]) => Promise<string[]>
  /** Those of the IDs that are users. */
  existing: (userIds: readonly string[]) => Promise<Set<string>>
  /** Those of `others` between whom and this user there is a block. */
  blocked: (userId: string, others: readonly string[]) => Promise<string[]>
  /** Whether Postgres knows the room: then making it anew would begin a second history. */
  archived: (roomId: string) => Promise<boolean>
  /** Whether it is the room's password, or why that cannot be said now: too many guesses, too many at once. */
  passwordFits: (roomId: string, password: string, userId: string) => Promise<boolean | Rejection>
  redeemInvite: (invite: { room_id: string, code: string, user_id: string }) => Promise<'good' | 'spent' | 'unknown'>
  /** One for each `ms`, or the milliseconds to wait. */
  slot: (key: string, ms: number) => Promise<number>
}

/** Whether this command is decided with facts. @param room undefined if it is not loaded */
export function wantsFacts (command: Command, room: Room | null | undefined): boolean {
  switch (command.type) {
    case 'message': return command.reply_to !== undefined || command.thread !== undefined || command.content.includes('@') || room?.kind === 'dm' || (room?.slow_mode_s ?? 0) > 0
    case 'join': return command.password !== undefined || command.invite !== undefined
    case 'create': return command.kind === 'dm' || (command.members?.length ?? 0) > 0
    case 'leave': case 'kick': case 'unban': case 'unmute': case 'role': case 'update': case 'remove': case 'inform': return false
    default: return true
  }
}

/** Users whose records a decision with these facts looks at, besides those that the command names. */
export function usersIn ({ messages, mentions = [] }: Facts, command: Command): readonly string[] {
  const authors = command.type === 'delete' ? [...messages?.values() ?? []].map(({ author }) => author) : []
  return authors.length === 0 ? mentions : [...authors, ...mentions]
}

export function createFacts (sources: FactSources) {
  const { log, archivedAt, emojiOn, usersNamed, existing, blocked, archived, passwordFits, redeemInvite } = sources

  async function messagesAt (roomId: string, seqs: readonly number[]): Promise<Map<number, MessageFact>> {
    const entries = await log.at(roomId, seqs)
    const missing = seqs.filter(seq => seq > 0 && !entries.has(seq))
    if (missing.length > 0) for (const entry of await archivedAt(roomId, missing)) entries.set(entry.seq, entry)
    const facts = new Map<number, MessageFact>()
    for (const [seq, entry] of entries) {
      const event = decodeEvent(entry)
      if (event.type === 'message') facts.set(seq, { author: event.user_id, deleted: event.deleted === true, ...(event.thread === undefined ? {} : { thread: event.thread }) })
    }
    return facts
  }

  /** Names are an adornment: nobody is kept from speaking because they cannot be looked up. */
  async function mentioned (content: string): Promise<{ mentions?: string[] }> {
    const names = namesIn(content)
    if (names.length === 0) return {}
    return { mentions: await usersNamed(names).catch(() => []) }
  }

  async function missing (userIds: readonly string[]): Promise<Rejection | undefined> {
    const known = await existing(userIds)
    const unknown = userIds.find(id => !known.has(id))
    return unknown === undefined ? undefined : reject('user_not_found', `There is no user ${unknown}`)
  }

  async function whyNotDirect ([one, other]: readonly string[]): Promise<Rejection | undefined> {
    if (one === undefined || other === undefined || one === other) return undefined
    return (await blocked(one, [other])).length > 0 ? reject('blocked') : undefined
  }

  const no = (rejection: Rejection | undefined): Facts => rejection === undefined ? {} : { no: rejection }

  return {
    /** Slow mode takes a slot: ask last, and once for each command. */
    async slow (room: Room, userId: string): Promise<Rejection | undefined> {
      const waitMs = await sources.slot(`${room.id}:${userId}`, room.slow_mode_s * 1000)
      return waitMs === 0 ? undefined : reject('slow_mode', `One message each ${room.slow_mode_s} s`, waitMs)
    },

    /** @param room null if it does not exist; of its members, the actor is known */
    async of (command: Command, room: Room | null, actor: string, now: number): Promise<Facts> {
      const { room_id } = command
      switch (command.type) {
        case 'message': {
          const named = [command.reply_to, command.thread].filter(seq => seq !== undefined)
          return {
            ...(named.length > 0 ? { messages: await messagesAt(room_id, named) } : {}),
            ...await mentioned(command.content),
            ...no(room?.kind === 'dm' ? await whyNotDirect(room.peers) : undefined),
          }
        }
        case 'edit':
          return { messages: await messagesAt(room_id, [command.message_seq]), ...await mentioned(command.content), ...no(room?.kind === 'dm' ? await whyNotDirect(room.peers) : undefined) }
        case 'react': {
          const messages = await messagesAt(room_id, [command.message_seq])
          const message = messages.get(command.message_seq)
          const emoji = message === undefined ? [] : await emojiOn(room_id, command.message_seq).catch(() => [])
          if (message !== undefined) messages.set(command.message_seq, { ...message, emoji: new Set(emoji) })
          return { messages, ...no(room?.kind === 'dm' ? await whyNotDirect(room.peers) : undefined) }
        }
        case 'delete': case 'unreact': case 'pin': case 'unpin':
          return { messages: await messagesAt(room_id, [command.message_seq]) }
        case 'join': {
          if (room === null || room.removed || isMember(room, memberOf(room, actor), now, actor) || memberOf(room, actor).banned_until > now) return {}
          if (command.invite !== undefined && room.kind !== 'dm' && room.kind !== 'inbox') {
            const invite = await redeemInvite({ room_id, code: command.invite, user_id: actor })
            if (invite === 'good') return { admitted: true }
            // Who holds a real one knew of the room; who made one up learns nothing.
            return no(reject(invite === 'spent' || isKnown(room) ? 'bad_invite' : 'room_not_found'))
          }
          if (command.password !== undefined && room.kind === 'protected') {
            const fits = await passwordFits(room_id, command.password, actor)
            return fits === true ? { admitted: true } : no(fits === false ? reject('wrong_password') : fits)
          }
          return {}
        }
        case 'add':
          return no(await missing([command.target]) ?? await whyNotDirect([actor, command.target]))
        case 'ban': case 'mute':
          return no(await missing([command.target]))
        case 'create': {
          if (room !== null) return {}
          const members = command.members ?? []
          const others = [...new Set(members)].filter(user => user !== actor)
          const why = await missing(others) ?? (others.length > 0 && (await blocked(actor, others)).length > 0 ? reject('blocked') : undefined)
          return no(why ?? (await archived(room_id) ? reject('unavailable', 'The room is being restored', 1000) : undefined))
        }
        default:
          return {}
      }
    },
  }
}

export type FactGathering = ReturnType<typeof createFacts>

/** Whether slow mode is for this person: it is not for those who keep order. */
export function isSlowed (command: Command, room: Room | null | undefined, userId: string): boolean {
  return command.type === 'message' && room != null && room.slow_mode_s > 0 && RANK[memberOf(room, userId).role] < RANK.moderator
}
