/**
 * What the read models must be, folded naïvely from the log: one event after the other, sharing nothing with the
 * projections. And the rows that they have, in the same shape.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Test } from 'tap'
import type { LogEvent } from '../../src/log/codec.ts'
import type { Queryable } from '../../src/store/pool.ts'

export interface Model { rooms: object[], members: object[], messages: object[], message_edits: object[], reactions: object[], pins: object[] }

interface MemberRow { room_id: string, user_id: string, role: string, joined_seq: number, joined_at: string | null, left_seq: number | null, left_at: string | null, muted_until: number, banned_until: number }
interface MessageRow { room_id: string, seq: number, message_no: number, author_no: number, event_id: string, user_id: string, content: string, timestamp: string, client_id: string | null, reply_to: number | null, edited_at: string | null, deleted: boolean, deleted_by: string | null, thread: number | null, mentions: string[] | null, mentions_room: boolean, attachments: string | null, reacted: boolean }
interface Of { room_id: string, message_seq: number }

const SETTINGS = ['topic', 'history', 'members_max', 'message_chars_max', 'slow_mode_s', 'archived'] as const
const FOREVER = Date.UTC(9999, 11, 31, 23, 59, 59, 999)
const isOut = (role: string): boolean => role === 'none' || role === 'kicked'
const list = (ids: string[] | undefined): string[] | null => ids === undefined || ids.length === 0 ? null : ids

export function naiveHistory (logs: ReadonlyMap<string, readonly LogEvent[]>): Model {
  const model: Model = { rooms: [], members: [], messages: [], message_edits: [], reactions: [], pins: [] }
  for (const [room_id, log] of [...logs].sort(([a], [b]) => a < b ? -1 : 1)) {
    const room = {
      id: room_id,
      kind: 'private',
      name: '',
      topic: '',
      history: 'all',
      created_by: null as string | null,
      created_at: null as string | null,
      last_seq: 0,
      messages: 0,
      member_count: 0,
      members_max: 0,
      message_chars_max: 0,
      slow_mode_s: 0,
      archived: false,
      removed: false,
      peers: [] as string[],
    }
    const members = new Map<string, MemberRow>()
    const messages = new Map<number, MessageRow>()
    let edits: Array<Of & { seq: number, content: string, timestamp: string, edited_at: string }> = []
    let reactions: Array<Of & { emoji: string, user_id: string, seq: number }> = []
    let pins: Array<Of & { seq: number, pinned_by: string, pinned_at: string }> = []

    for (const { seq, event_id, data } of log) {
      const { type, user_id, timestamp, ...rest } = JSON.parse(data)
      room.last_seq = seq
      const until = rest.lifted === true ? 0 : rest.until === undefined ? FOREVER : Date.parse(rest.until)
      const become = (user: string, change: Partial<MemberRow>): void => {
        const before = members.get(user) ?? { room_id, user_id: user, role: 'none', joined_seq: 0, joined_at: null, left_seq: null, left_at: null, muted_until: 0, banned_until: 0 }
        const after = { ...before, ...change }
        if (isOut(after.role)) {
          after.joined_seq = 0
          if (!isOut(before.role)) Object.assign(after, { left_seq: seq, left_at: timestamp })
        } else Object.assign(after, { left_seq: null, left_at: null })
        members.set(user, after)
      }
      const enter = (user: string, role: string): void => { become(user, { role, joined_seq: seq, joined_at: timestamp }) }
      const message = messages.get(rest.message_seq)

      switch (type) {
        case 'room':
          if (rest.change === 'deleted') room.removed = true
          else for (const field of ['name', ...SETTINGS]) if (rest[field] !== undefined) Object.assign(room, { [field]: rest[field] })
          if (rest.change !== 'created') break
          room.kind = rest.kind
          room.peers = rest.members ?? []
          room.created_by ??= user_id
          room.created_at ??= timestamp
          for (const user of rest.kind === 'dm' ? rest.members : ['lobby', 'inbox'].includes(rest.kind) ? [] : [user_id]) enter(user, rest.kind === 'dm' ? 'member' : 'owner')
          break
        case 'join': enter(rest.target ?? user_id, 'member'); break
        case 'leave': become(user_id, { role: 'none' }); break
        case 'kick': become(rest.target, { role: 'kicked' }); break
        case 'ban': become(rest.target, rest.lifted === true ? { banned_until: 0 } : { role: 'kicked', banned_until: until }); break
        case 'mute': become(rest.target, { muted_until: until }); break
        case 'role': become(rest.target, { role: rest.role }); break
        case 'message':
          room.messages++
          messages.set(seq, {
            room_id,
            seq,
            message_no: room.messages,
            author_no: [...messages.values()].filter(message => message.user_id === user_id).length + 1,
            event_id,
            user_id,
            content: rest.content,
            timestamp,
            client_id: rest.client_id ?? null,
            reply_to: rest.reply_to ?? null,
            edited_at: null,
            deleted: rest.deleted === true,
            deleted_by: null,
            thread: rest.thread ?? null,
            mentions: list(rest.mentions),
            mentions_room: rest.mentions_room === true,
            attachments: rest.attachments === undefined ? null : JSON.stringify(rest.attachments),
            reacted: false,
          })
          break
        case 'edit':
          if (message === undefined || message.deleted || rest.deleted === true) break
          edits.push({ room_id, message_seq: message.seq, seq, content: message.content, timestamp: message.edited_at ?? message.timestamp, edited_at: timestamp })
          Object.assign(message, { content: rest.content, edited_at: timestamp, mentions: list(rest.mentions), mentions_room: rest.mentions_room === true })
          break
        case 'delete': {
          if (message === undefined) break
          Object.assign(message, { content: '', edited_at: null, deleted: true, deleted_by: message.deleted_by ?? user_id, mentions: null, mentions_room: false, attachments: null })
          const others = ({ message_seq }: Of): boolean => message_seq !== message.seq
          edits = edits.filter(others)
          reactions = reactions.filter(others)
          pins = pins.filter(others)
          break
        }
        case 'reaction': {
          if (message === undefined || message.deleted) break
          const same = (reaction: typeof reactions[number]): boolean => reaction.message_seq === message.seq && reaction.emoji === rest.emoji && reaction.user_id === user_id
          if (!rest.added) reactions = reactions.filter(reaction => !same(reaction))
          else if (!reactions.some(same)) reactions.push({ room_id, message_seq: message.seq, emoji: rest.emoji, user_id, seq })
          break
        }
        case 'pin':
          if (message === undefined || message.deleted) break
          if (!rest.added) pins = pins.filter(({ message_seq }) => message_seq !== message.seq)
          else if (!pins.some(({ message_seq }) => message_seq === message.seq)) pins.push({ room_id, message_seq: message.seq, seq, pinned_by: user_id, pinned_at: timestamp })
          break
      }
    }
    for (const message of messages.values()) message.reacted = reactions.some(({ message_seq }) => message_seq === message.seq)
    room.member_count = [...members.values()].filter(({ role }) => !isOut(role)).length
    model.rooms.push(room)
    model.members.push(...[...members.values()].sort((a, b) => a.user_id < b.user_id ? -1 : 1))
    model.messages.push(...messages.values())
    model.message_edits.push(...edits.sort((a, b) => a.seq - b.seq))
    model.reactions.push(...reactions.sort((a, b) => a.seq - b.seq))
    model.pins.push(...pins.sort((a, b) => a.seq - b.seq))
  }
  return model
}

export async function storedHistory (db: Queryable, schema = 'public'): Promise<Model> {
  const rows = async (table: string, order: string): Promise<object[]> => JSON.parse(JSON.stringify((await db.query(`SELECT * FROM ${schema}.${table} ORDER BY ${order}`)).rows))
  return {
    rooms: await rows('rooms', 'id'),
    members: await rows('members', 'room_id, user_id'),
    messages: await rows('messages', 'room_id, seq'),
    message_edits: await rows('message_edits', 'room_id, seq'),
    reactions: await rows('reactions', 'room_id, seq'),
    pins: await rows('pins', 'room_id, seq'),
  }
}

/** As `t.same`, which takes seconds for thousands of rows that are equal. */
export function equal (t: Test, got: unknown, wanted: unknown, what: string): void {
  const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
  if (isDeepStrictEqual(plain(got), plain(wanted))) t.pass(what)
  else t.same(plain(got), plain(wanted), what)
}
