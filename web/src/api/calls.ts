/**
 * The HTTP API as functions: each asks one route and resolves with its answer, or throws MillraceError with the problem's code. Who asks
 * is `client.request` of `millrace/client`: with the user's token, fresh when needed.
 */
import type { Client, RoomEvent } from 'millrace/client'
import type { FoundItem, List, ListedRoom, Me, Member, MessageItem, MessagePage, NamedItem, NewRoom, PinsPage, Presence, Room, Session, Sync, ThreadPage, User } from './types.ts'

export type Ask = Client['request']

/** `?a=1&b=2` of what is given. */
export function query (values: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(values).filter(([, value]) => value !== undefined).map(([name, value]): [string, string] => [name, String(value)])
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`
}

export interface PageOptions { before?: number | undefined, after?: number | undefined, around?: number | undefined, limit?: number }

export function createApi (ask: Ask) {
  const post = async <T>(path: string, body?: unknown): Promise<T> => await ask<T>(path, { method: 'POST', ...(body !== undefined && { body }) })
  const put = async <T>(path: string, body?: unknown): Promise<T> => await ask<T>(path, { method: 'PUT', ...(body !== undefined && { body }) })
  const remove = async <T>(path: string): Promise<T> => await ask<T>(path, { method: 'DELETE' })

  return {
    ask,
    post,
    put,
    remove,
    patch: async <T>(path: string, body: unknown): Promise<T> => await ask<T>(path, { method: 'PATCH', body }),

    sync: async () => await ask<Sync>('/sync'),
    me: async () => await ask<Me>('/me'),
    updateMe: async (change: Partial<Pick<Me, 'display_name' | 'avatar_url' | 'status_text' | 'email'>>) => await ask<Me>('/me', { method: 'PATCH', body: change }),
    user: async (id: string) => await ask<User>(`/users/${id}`),
    findUsers: async (begin: string, limit = 20) => await ask<List<User>>(`/users${query({ query: begin, limit })}`),
    presence: async (id: string) => await ask<Presence>(`/users/${id}/presence`),

    sessions: async () => await ask<List<Session>>('/auth/sessions'),
    endSession: async (id: string) => { await remove(`/auth/sessions/${id}`) },
    changePassword: async (current_password: string | undefined, new_password: string) => { await post('/auth/password', { current_password, new_password }) },

    room: async (id: string) => await ask<Room>(`/rooms/${id}`),
    directory: async (name: string, after?: string) => await ask<List<ListedRoom>>(`/rooms/public${query({ query: name === '' ? undefined : name, after, limit: 50 })}`),
    createRoom: async (room: NewRoom) => await post<Room>('/rooms', room),
    direct: async (user_id: string) => await post<Room>('/dms', { user_id }),
    join: async (id: string, by: { password?: string, invite?: string } = {}) => await post<{ room_id: string, seq?: number }>(`/rooms/${id}/join`, by),
    leave: async (id: string) => { await post(`/rooms/${id}/leave`) },
    members: async (id: string, after?: string) => await ask<List<Member>>(`/rooms/${id}/members${query({ after, limit: 200 })}`),

    messages: async (id: string, page: PageOptions = {}) => await ask<MessagePage>(`/rooms/${id}/messages${query({ ...page })}`),
    message: async (id: string, seq: number) => await ask<MessageItem>(`/rooms/${id}/messages/${seq}`),
    thread: async (id: string, seq: number, after?: number, limit = 200) => await ask<ThreadPage>(`/rooms/${id}/threads/${seq}${query({ after, limit })}`),
    pins: async (id: string, before?: number) => await ask<PinsPage>(`/rooms/${id}/pins${query({ before, limit: 50 })}`),
    setPin: async (id: string, seq: number, isPinned: boolean) => { await (isPinned ? put(`/rooms/${id}/pins/${seq}`) : remove(`/rooms/${id}/pins/${seq}`)) },
    /** @param id of the room to search; undefined: all of the user's rooms */
    search: async (q: string, id?: string, before?: string) => await ask<List<FoundItem>>(`${id === undefined ? '' : `/rooms/${id}`}/search${query({ q, before, limit: 20 })}`),
    mentions: async (before?: string) => await ask<List<NamedItem>>(`/mentions${query({ before, limit: 30 })}`),
    events: async (id: string, after: number, limit: number) => await ask<{ items: readonly RoomEvent[], next: number | null }>(`/rooms/${id}/events${query({ after, limit })}`),
  }
}

export type Api = ReturnType<typeof createApi>
