/**
 * Messages that name the user, as long as somebody looks at them: pages of the server's list, which follows the rooms a moment later, and on top what
 * was heard meanwhile. What is deleted or edited while it is shown is taken along.
 */
import { LOBBY_ID, type MillraceError, type RoomEvent } from 'millrace/client'
import type { MessageItem } from '../api/types.ts'
import type { Chat } from '../chat/chat.ts'
import { fold, messageOfEvent, messageOfItem, type Message } from '../chat/fold.ts'
import { Observable } from '../chat/observable.ts'

export type Mentioned = Message & { readonly room_id: string }
export interface MentionsView { readonly status: 'loading' | 'ready' | 'failed', readonly items: readonly Mentioned[], readonly next: string | null, readonly error?: MillraceError }

export class Mentions {
  readonly view = new Observable<MentionsView>({ status: 'loading', items: [], next: null })
  readonly #chat: Chat
  #loads = 0

  constructor (chat: Chat) { this.#chat = chat }

  /** Loads them and hears of more; the returned function ends that. */
  open (): () => void {
    const ends = [
      this.#chat.events.subscribe(() => { this.#event(this.#chat.events.get()) }),
      this.#chat.client.on('inbox', ({ event, room_id, source_seq }) => { if (event === 'mentioned') void this.#told(room_id as string, source_seq as number) }),
    ]
    void this.load()
    return () => { for (const end of ends) end() }
  }

  async load (): Promise<void> { await this.#page(undefined) }

  async more (): Promise<void> {
    const { next, status } = this.view.get()
    if (next !== null && status !== 'loading') await this.#page(next)
  }

  async #page (before: string | undefined): Promise<void> {
    const n = ++this.#loads
    this.view.update(view => ({ ...view, status: 'loading' }))
    try {
      const { items, next } = await this.#chat.api.mentions(before)
      if (n !== this.#loads) return
      this.view.update(view => ({ status: 'ready', next, items: merged(view.items, items.map(item => this.#mentioned(item, item.room_id))) }))
    } catch (error) {
      if (n === this.#loads) this.view.update(view => view.items.length > 0 ? { ...view, status: 'ready' } : { ...view, status: 'failed', error: error as MillraceError })
    }
  }

  /** The inbox tells of rooms that are not followed as well. */
  async #told (roomId: string, seq: number): Promise<void> {
    if (this.view.get().items.some(item => item.room_id === roomId && item.seq === seq)) return
    try {
      this.#add(this.#mentioned(await this.#chat.api.message(roomId, seq), roomId))
    } catch {} // it is not ours to read any more
  }

  #event (event: RoomEvent | undefined): void {
    if (event === undefined) return
    if (event.type === 'message') {
      if (this.#names(event)) this.#add({ ...messageOfEvent(event), room_id: event.room_id })
      return
    }
    const { items } = this.view.get()
    const i = items.findIndex(item => item.room_id === event.room_id && item.seq === event.message_seq)
    if (i === -1) return
    const message = fold(items[i]!, event)
    if (message === items[i]) return
    this.view.update(view => ({ ...view, items: message.deleted === true ? items.toSpliced(i, 1) : items.with(i, { ...message, room_id: event.room_id }) }))
  }

  /** As the server has it: in the lobby, where everyone is, `@room` names nobody. */
  #names ({ room_id, user_id, mentions, mentions_room, deleted }: RoomEvent): boolean {
    return deleted !== true && user_id !== this.#chat.userId && ((mentions as string[] | undefined)?.includes(this.#chat.userId) === true || (mentions_room === true && room_id !== LOBBY_ID))
  }

  #mentioned (item: MessageItem, room_id: string): Mentioned { return { ...messageOfItem(item, item.seq), room_id } }

  #add (item: Mentioned): void { this.view.update(view => ({ ...view, items: merged(view.items, [item]) })) }
}

/** Each once, the latest first. */
function merged (known: readonly Mentioned[], more: readonly Mentioned[]): Mentioned[] {
  const byPlace = new Map([...known, ...more].map(item => [`${item.room_id} ${item.seq}`, item]))
  return [...byPlace.values()].sort((a, b) => Date.parse(b.timestamp) - Date.parse(a.timestamp) || b.seq - a.seq)
}
