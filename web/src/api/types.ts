/** The shapes that the HTTP API answers with, as far as the web client reads them. The contract is the server's own reference (`/docs`). */

export interface Position { readonly seq: number, readonly chain: string }

export interface User {
  readonly id: string
  readonly username: string
  readonly display_name: string
  readonly avatar_url: string | null
  readonly status_text: string | null
  readonly kind: string
  readonly created_at: string
}
export interface Me extends User { readonly email: string | null }

export type RoomKind = 'public' | 'private' | 'protected' | 'group' | 'dm' | 'lobby' | 'inbox'
export type Role = 'owner' | 'admin' | 'moderator' | 'member' | 'none' | 'kicked'

export interface Peer { readonly user_id: string, readonly username: string, readonly display_name: string, readonly avatar_url: string | null }

export interface LastMessage { readonly seq: number, readonly user_id: string, readonly content: string, readonly timestamp: string, readonly edited_at?: string, readonly deleted?: boolean }

/** A room in a list. */
export interface ListedRoom {
  readonly id: string
  readonly name: string
  readonly kind: RoomKind
  readonly topic?: string
  readonly role?: Role
  readonly archived?: boolean
  readonly peers?: readonly string[]
  readonly peer?: Peer
  readonly members?: number
  readonly head_seq?: number
  readonly unread?: number
  readonly mentions?: number
  readonly last_message?: LastMessage
}

/** A room by itself. */
export interface Room extends Omit<ListedRoom, 'unread' | 'mentions' | 'last_message'> {
  readonly member: boolean
  readonly role: Role
  readonly history?: 'all' | 'joined'
  readonly members_max?: number
  readonly message_chars_max?: number
  readonly slow_mode_s?: number
  /** Messages are kept so long; left out: as long as in all rooms. */
  readonly retention_days?: number
  readonly messages?: number
}

export interface NewRoom { readonly name: string, readonly kind: 'public' | 'private' | 'protected' | 'group', readonly password?: string, readonly topic?: string, readonly members?: readonly string[], readonly history?: 'all' | 'joined' }

export interface Member { readonly user_id: string, readonly username: string, readonly display_name: string, readonly avatar_url: string | null, readonly role: Role, readonly joined_at: string, readonly muted_until?: string, readonly banned_until?: string }

export interface Unread { readonly room_id: string, readonly unread: number, readonly mentions: number, readonly read_seq: number, readonly head_seq: number, readonly notifications?: 'mentions' | 'none', readonly muted?: boolean }

export interface Reaction { readonly emoji: string, readonly count: number, readonly user_ids: readonly string[] }
export interface Attachment { readonly url: string, readonly name?: string, readonly media_type?: string, readonly bytes?: number }

/** A message in a page. */
export interface MessageItem {
  readonly seq: number
  readonly event_id: string
  readonly user_id: string
  readonly content: string
  readonly timestamp: string
  readonly edited_at?: string
  readonly deleted?: boolean
  readonly reply_to?: number
  readonly thread?: number
  readonly reactions: readonly Reaction[]
  readonly mentions: readonly string[]
  readonly mentions_room?: boolean
  readonly attachments?: readonly Attachment[]
  readonly client_id?: string
  readonly pinned?: boolean
}
/** A message that was found: of which room, and where in it. */
export interface FoundItem extends MessageItem {
  readonly room_id: string
  /** Plain text; places in it are UTF-16 code units. */
  readonly snippet: { readonly text: string, readonly at: number, readonly highlights: ReadonlyArray<{ readonly from: number, readonly to: number }> }
}
export interface NamedItem extends MessageItem { readonly room_id: string, readonly named_at: string }
export interface PinnedItem extends MessageItem { readonly pinned_by: string, readonly pinned_at: string }
export interface PinsPage { readonly items: readonly PinnedItem[], readonly next: number | null, readonly as_of: Position }
/** `root` is null where it is hidden from whoever came later. */
export interface ThreadPage extends MessagePage { readonly root: MessageItem | null }
export interface MessagePage { readonly items: readonly MessageItem[], readonly next: number | null, readonly as_of: Position }

export interface List<T> { readonly items: readonly T[], readonly next: string | null }

export interface Session { readonly id: string, readonly device_id: string | null, readonly user_agent: string | null, readonly address: string | null, readonly created_at: string, readonly last_used_at: string, readonly current: boolean }

export type Status = 'online' | 'away' | 'dnd' | 'offline'
export interface Presence { readonly user_id: string, readonly status: Status, readonly last_seen_at?: string | null }

export interface Sync {
  readonly positions: { readonly inbox: Position, readonly rooms: Readonly<Record<string, Position>> }
  readonly me: Me
  readonly rooms: List<ListedRoom>
  readonly unread: readonly Unread[]
}
