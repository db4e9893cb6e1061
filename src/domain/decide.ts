/**
 * `decide(command, room, actor, now, facts)`: the rules of chat, pure. Returns the events to append, none if nothing would
 * change, or a rejection. What it looked at is guarded while appending (`guards`): the room's rules version and the records of
 * actor and target, so a decision on old state is never appended. Who may do what to whom is in `permissions.ts`.
 */
import { NO_FACTS, type Command, type Facts, type MessageFact } from './commands.ts'
import { emojiOf } from './emoji.ts'
import { CONTENT_CHARS_MAX, SETTING_NAMES, type Attachment, type EventBody } from './events.ts'
import { may, outranks, RANK, type Action } from './permissions.ts'
import { isKnown, isMember, memberOf, timeOf, type Member, type Role, type Room } from './room.ts'
import { reject, type Rejection } from './rejections.ts'

export type Decision = { readonly events: EventBody[] } | { readonly rejection: Rejection }

/** People named in one message. */
export const MENTIONS_MAX = 50
/** Names looked up for one message: some are tried with and without the punctuation after them. */
export const NAMES_MAX = 2 * MENTIONS_MAX
/** Characters of a name after an `@`: as many as a user name has. */
export const NAME_MENTIONED_CHARS_MAX = 64
/** Different emoji on one message. */
export const EMOJI_MAX = 100
/** People put into a room with its making. */
export const FIRST_MEMBERS_MAX = 100

/** An operator of the deployment, in any room: as an owner who came at its beginning. */
const OPERATOR: Member = Object.freeze({ role: 'owner', muted_until: 0, banned_until: 0, joined_seq: 0 })
/** What operators do as such: they keep order. Who wants to talk joins like everybody. */
const OPERATORS_DO: ReadonlySet<Command['type']> = new Set(['delete', 'kick', 'ban', 'unban', 'mute', 'unmute', 'role', 'update', 'remove'])

const no = (code: Parameters<typeof reject>[0], detail?: string): Decision => ({ rejection: reject(code, detail) })
const yes = (...events: EventBody[]): Decision => ({ events })

/**
 * @param room the room's state, or undefined if it does not exist
 * @param actor ID of the user whose command it is
 * @param now epoch milliseconds
 * @param facts what the shell found out for this command
 */
export function decide (command: Command, room: Room | undefined, actor: string, now: number, facts: Facts = NO_FACTS): Decision {
  if (command.type === 'create') return create(command, room, actor, facts)
  if (room === undefined || room.removed) return no('room_not_found')
  if (command.type === 'inform') return inform(command, room)
  const operator = facts.operator === true
  if (operator && (!OPERATORS_DO.has(command.type) || ('target' in command && command.target === actor))) return no('forbidden', 'As an operator one keeps order, and not over oneself')
  const member = operator ? OPERATOR : memberOf(room, actor)
  const inside = operator || isMember(room, member, now, actor)
  if (command.type === 'join') return join(room, member, inside, now, facts)
  // To those who may not know of a room, it does not exist (G9).
  if (!inside && !isKnown(room)) return no('room_not_found')
  if (member.banned_until > now) return no('banned')
  if (!inside) return no('not_member')
  const allowed = (action: Action): boolean => may(room.kind, member.role, action)
  const target = 'target' in command ? memberOf(room, command.target) : undefined

  switch (command.type) {
    case 'message':
    case 'edit':
    case 'delete':
    case 'react':
    case 'unreact':
    case 'pin':
    case 'unpin':
      return onMessage(command, room, actor, member, now, facts)
    case 'leave':
      if (!allowed('leave')) return no('forbidden', room.kind === 'lobby' ? 'Everyone is in the lobby' : 'Nobody leaves a direct conversation')
      if (isLastOwner(room, member)) return no('last_owner')
      return yes({ type: 'leave' })
    case 'add':
      if (!allowed('add')) return no('forbidden')
      if (facts.no !== undefined) return { rejection: facts.no }
      if (isMember(room, target!, now, command.target)) return yes()
      if (target!.banned_until > now) return no('banned', 'They are banned from this room: lift the ban first')
      if (room.archived) return no('room_archived')
      if (isFull(room)) return no('room_full')
      return yes({ type: 'join', target: command.target })
    case 'kick':
      if (!allowed('kick')) return no('forbidden')
      if (command.target === actor) return no('forbidden', 'To go out by yourself, leave')
      if (RANK[target!.role] < 0) return no('target_not_member')
      if (!reaches(member, target!)) return no('forbidden', 'Only those of a lower role')
      if (isKept(room, target!)) return no('last_owner')
      return yes({ type: 'kick', target: command.target, ...given('reason', command.reason) })
    case 'ban':
    case 'mute': {
      if (!allowed(command.type)) return no('forbidden')
      if (command.target === actor) return no('forbidden', 'Not yourself')
      if (!reaches(member, target!)) return no('forbidden', 'Only those of a lower role')
      if (facts.no !== undefined) return { rejection: facts.no }
      if (command.until !== undefined && !(Date.parse(command.until) > now)) return no('bad_request', 'until must be in the future')
      if (command.type === 'ban' && isKept(room, target!)) return no('last_owner')
      const until = command.type === 'ban' ? target!.banned_until : target!.muted_until
      if (until === timeOf(command.until) && command.reason === undefined) return yes()
      return yes({ type: command.type, target: command.target, ...given('until', command.until), ...given('reason', command.reason) })
    }
    case 'unban':
    case 'unmute': {
      const what = command.type === 'unban' ? 'ban' : 'mute'
      if (!allowed(what)) return no('forbidden')
      if (!reaches(member, target!)) return no('forbidden', 'Only those of a lower role')
      if ((what === 'ban' ? target!.banned_until : target!.muted_until) === 0) return yes()
      return yes({ type: what, target: command.target, lifted: true })
    }
    case 'role':
      return changeRole(command, room, actor, member, target!, now)
    case 'update':
      return update(command, room, member, now, allowed)
    case 'remove':
      return allowed('remove') ? yes({ type: 'room', change: 'deleted' }) : no('forbidden')
  }
}

/**
 * What of the state a decision rests on besides rules version and actor: users whose records (of those named too, so that nobody is
 * named after they were put out), whether the number of members, and which message is not deleted.
 */
export function guards (command: Command, room: Room, { mentions = [] }: Facts = NO_FACTS): { users: readonly string[], count: boolean, undeleted: number | undefined } {
  const users = 'target' in command ? [command.target] : mentions
  const joins = command.type === 'join' || command.type === 'add'
  return { users, count: joins && room.members_max > 0, undeleted: command.type === 'edit' ? command.message_seq : undefined }
}

function create (command: Command & { type: 'create' }, room: Room | undefined, actor: string, facts: Facts): Decision {
  if (room !== undefined) return no('room_exists')
  if (facts.no !== undefined) return { rejection: facts.no }
  const { name, kind, members = [] } = command
  const settings = Object.fromEntries(SETTING_NAMES.flatMap(setting => command[setting] === undefined ? [] : [[setting, command[setting]]]))
  const created = { type: 'room', change: 'created', name, kind, history: 'all', ...settings } as const
  if (kind === 'dm') {
    const two = [...new Set(members)]
    return two.length <= 2 && two.includes(actor) ? yes({ ...created, members: two }) : no('bad_request', 'members: the two who talk')
  }
  const others = [...new Set(members)].filter(user => user !== actor)
  if (others.length > FIRST_MEMBERS_MAX) return no('bad_request', `members: at most ${FIRST_MEMBERS_MAX}`)
  if (others.length > 0 && !may(kind, 'owner', 'add')) return no('bad_request', 'members: people join a room of this kind by themselves')
  if (command.members_max !== undefined && others.length + 1 > command.members_max) return no('room_full')
  return yes(created, ...others.map(target => ({ type: 'join', target }) as const))
}

function inform ({ event, about, source_seq, by, reason }: Command & { type: 'inform' }, room: Room): Decision {
  if (room.kind !== 'inbox') return no('forbidden')
  return yes({ type: 'inbox', event, ...given('room_id', about), ...given('source_seq', source_seq), ...given('by', by), ...given('reason', reason) })
}

function join (room: Room, member: Member, inside: boolean, now: number, facts: Facts): Decision {
  if (inside) return yes()
  // With an invite, one may know of the room; without, only of those that everyone may know of.
  if (!isKnown(room)) {
    if (room.kind === 'dm' || room.kind === 'inbox') return no('room_not_found')
    // Only who holds an invite that was good once is told that it is not any longer; all else would show that there is a room.
    if (facts.admitted !== true) return no(facts.no?.code === 'bad_invite' ? 'bad_invite' : 'room_not_found')
  }
  if (member.banned_until > now) return no('banned')
  if (room.kind === 'protected' && facts.admitted !== true) return facts.no === undefined ? no('wrong_password', 'This room is joined with its password, or with an invite') : { rejection: facts.no }
  if (room.archived) return no('room_archived')
  if (isFull(room)) return no('room_full')
  return yes({ type: 'join' })
}

type OnMessage = Extract<Command, { type: 'message' | 'edit' | 'delete' | 'react' | 'unreact' | 'pin' | 'unpin' }>

const ACTIONS: Readonly<Record<OnMessage['type'], Action>> = { message: 'send', edit: 'edit own', delete: 'delete own', react: 'react', unreact: 'react', pin: 'pin', unpin: 'pin' }

function onMessage (command: OnMessage, room: Room, actor: string, member: Member, now: number, facts: Facts): Decision {
  if (!may(room.kind, member.role, ACTIONS[command.type])) return no('forbidden')
  if (room.archived && command.type !== 'delete') return no('room_archived')
  // What a muted person may still do takes something back.
  if (member.muted_until > now && command.type !== 'delete' && command.type !== 'unreact') return no('muted')
  if (facts.no !== undefined) return { rejection: facts.no }
  const message = 'message_seq' in command ? messageAt(command.message_seq, room, actor, member, facts) : undefined
  if ('message_seq' in command && message === undefined) return no('message_not_found')

  switch (command.type) {
    case 'message': {
      const { content, reply_to, thread, attachments } = command
      if (isTooLong(room, content)) return no('content_too_long', `Messages of this room have at most ${room.message_chars_max} characters`)
      if (reply_to !== undefined && messageAt(reply_to, room, actor, member, facts) === undefined) return no('bad_reply')
      if (thread !== undefined) {
        const root = messageAt(thread, room, actor, member, facts)
        if (root === undefined || root.thread !== undefined) return no('bad_reply', 'A thread begins at a message of this room that is in no thread itself')
      }
      return yes({ type: 'message', content, ...given('reply_to', reply_to), ...given('thread', thread), ...mentionsOf(content, room, member, now, facts), ...attached(attachments) })
    }
    case 'edit':
      if (message!.author !== actor) return no('forbidden', 'Only its author edits a message')
      if (message!.deleted) return no('message_deleted')
      if (isTooLong(room, command.content)) return no('content_too_long', `Messages of this room have at most ${room.message_chars_max} characters`)
      return yes({ type: 'edit', message_seq: command.message_seq, content: command.content, ...mentionsOf(command.content, room, member, now, facts) })
    case 'delete': {
      const own = message!.author === actor
      if (!own && !(may(room.kind, member.role, 'delete others') && reaches(member, memberOf(room, message!.author)))) return no('forbidden', 'Others’ messages are deleted by those of a higher role')
      return message!.deleted ? yes() : yes({ type: 'delete', message_seq: command.message_seq })
    }
    case 'react':
    case 'unreact': {
      const { message_seq } = command
      const added = command.type === 'react'
      const emoji = emojiOf(command.emoji)
      if (emoji === undefined) return no('bad_emoji')
      if (message!.deleted) return no('message_deleted')
      if (added && message!.emoji !== undefined && message!.emoji.size >= EMOJI_MAX && !message!.emoji.has(emoji)) return no('too_many_reactions')
      return yes({ type: 'reaction', message_seq, emoji, added })
    }
    case 'pin':
    case 'unpin':
      if (message!.deleted && command.type === 'pin') return no('message_deleted')
      return yes({ type: 'pin', message_seq: command.message_seq, added: command.type === 'pin' })
  }
}

/** The message at this seq, as far as the actor may know of it: what was before they came is not there where newcomers do not see it. */
function messageAt (seq: number, room: Room, actor: string, member: Member, { messages }: Facts): MessageFact | undefined {
  const message = messages?.get(seq)
  const seen = room.history === 'all' || room.kind === 'lobby' || seq >= member.joined_seq || message?.author === actor
  return seen ? message : undefined
}

/** What the schema knows of attachments, and nothing else that came with them; none if there are none. */
function attached (attachments: readonly Attachment[] = []): { attachments?: Attachment[] } {
  if (attachments.length === 0) return {}
  return { attachments: attachments.map(({ url, name, media_type, bytes }) => ({ url, ...given('name', name), ...given('media_type', media_type), ...given('bytes', bytes) })) }
}

/** Only members can be named: whoever else is, stays text. */
function mentionsOf (content: string, room: Room, member: Member, now: number, { mentions = [] }: Facts): { mentions?: string[], mentions_room?: true } {
  const named = [...new Set(mentions)].filter(user => isMember(room, memberOf(room, user), now, user)).slice(0, MENTIONS_MAX)
  const all = may(room.kind, member.role, 'mention room') && tokensIn(content).some(token => bare(token).toLowerCase() === ROOM_NAME)
  return { ...(named.length > 0 ? { mentions: named } : {}), ...(all ? { mentions_room: true } : {}) }
}

/** Names everyone: `@room`. */
const ROOM_NAME = 'room'
const LINK = /\bhttps?:\/\/\S+/giu
/** Joiners are part of words in some scripts. What comes before the `@` tells a mention from an e-mail address. */
const MENTION = /(?<![\p{L}\p{M}\p{N}_@])@([\p{L}\p{N}_][\p{L}\p{M}\p{N}\p{Join_Control}_.-]*)/gu

/** What stands after each `@` that begins a mention; links are left alone. */
function tokensIn (content: string): string[] {
  if (!content.includes('@')) return []
  return [...content.replace(LINK, ' ').matchAll(MENTION)].map(([, token]) => token!)
}

/** Without the punctuation that may end a sentence. */
function bare (token: string): string {
  let end = token.length
  while (token[end - 1] === '.' || token[end - 1] === '-') end -= 1 // a pattern would try from each dot of a long row anew
  return token.slice(0, end)
}

/**
 * Names that a text mentions, each as written and, where that differs, without the punctuation after it: `@Ann.` may be Ann or
 * `Ann.`. At most NAMES_MAX, the first ones.
 */
export function namesIn (content: string): string[] {
  const names = new Set<string>()
  for (const token of tokensIn(content)) {
    if (bare(token).toLowerCase() === ROOM_NAME) continue
    for (const name of [token, bare(token)]) if (names.size < NAMES_MAX && [...name].length <= NAME_MENTIONED_CHARS_MAX) names.add(name)
  }
  return [...names]
}

function changeRole ({ target: user, role }: Command & { type: 'role' }, room: Room, actor: string, member: Member, target: Member, now: number): Decision {
  const stepsDown = user === actor && RANK[role] < RANK[member.role]
  if (!stepsDown && !may(room.kind, member.role, 'role')) return no('forbidden')
  if (!isMember(room, target, now, user)) return no('target_not_member')
  if (roleOf(room, target) === role) return yes()
  if (stepsDown) return isLastOwner(room, member) ? no('last_owner') : yes({ type: 'role', target: user, role })
  // An owner makes others what they like, owners too; everyone else only what is below themselves.
  const gives = member.role === 'owner' || RANK[role] < RANK[member.role]
  if (user === actor || !reaches(member, target) || !gives) return no('forbidden', 'Only those of a lower role, and only to a lower one than one’s own')
  if (isKept(room, target)) return no('last_owner')
  return yes({ type: 'role', target: user, role })
}

function update (command: Command & { type: 'update' }, room: Room, member: Member, now: number, allowed: (action: Action) => boolean): Decision {
  if (!allowed('update')) return no('forbidden')
  // Name and topic are read by all: who may not speak does not speak by them.
  if (member.muted_until > now) return no('muted')
  const changes = (['name', ...SETTING_NAMES] as const).filter(name => command[name] !== undefined && command[name] !== current(room, name))
  // In groups everyone may change what it is called, not how it is run.
  if (!changes.every(name => allowed(name === 'name' || name === 'topic' ? 'update' : name === 'archived' ? 'archive' : name === 'retention_days' ? 'retain' : 'settings'))) return no('forbidden')
  if (changes.includes('history') && room.kind === 'lobby') return no('forbidden', 'Everyone reads all of the lobby')
  if (changes.length === 0) return yes()
  if (room.archived && command.archived !== false) return no('room_archived')
  return yes({ type: 'room', change: 'updated', ...Object.fromEntries(changes.map(name => [name, command[name]])) })
}

function current (room: Room, name: 'name' | typeof SETTING_NAMES[number]): unknown {
  if (name === 'message_chars_max' && room.message_chars_max === 0) return CONTENT_CHARS_MAX
  return room[name]
}

/** Everyone in the lobby counts as a member. */
const roleOf = (room: Room, member: Member): Role => room.kind === 'lobby' && RANK[member.role] < 0 ? 'member' : member.role
/** Whom an operator may not take out of their role: a room keeps an owner, but for the lobby, which needs none. */
const isKept = (room: Room, target: Member): boolean => room.kind !== 'lobby' && isLastOwner(room, target)
/** Whom one may act on: those of a lower role; an operator, everyone. */
const reaches = (member: Member, other: Member): boolean => member === OPERATOR || outranks(member.role, other.role)
const isLastOwner = (room: Room, member: Member): boolean => member.role === 'owner' && room.owners <= 1
const isFull = (room: Room): boolean => room.members_max > 0 && room.count >= room.members_max

function isTooLong ({ message_chars_max: max }: Room, content: string): boolean {
  return max > 0 && content.length > max && [...content].length > max
}

/** `{name: value}` unless the value is left out: events carry no empty fields. */
function given<N extends string, T> (name: N, value: T | undefined): { [K in N]?: T } {
  return value === undefined ? {} : { [name]: value } as { [K in N]?: T }
}
