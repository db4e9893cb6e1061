/**
 * What the user did in a room that the log does not show yet: messages on their way, by `client_id`, and changes of messages, which are shown
 * at once and taken back when they are refused. `millrace/client` keeps the commands and sends them, over reloads too; this is what is shown of them.
 */
import type { Ack, MillraceError, Queued, Room, SendOptions } from 'millrace/client'
import { failedOf, type Failed } from './failed.ts'
import { reacted, withContent, withoutContent, type Message } from './fold.ts'
import { Observable } from './observable.ts'

/** A message on its way. `sent`: it is in the log; its event will be here in a moment. */
export interface Pending {
  readonly client_id: string
  readonly content: string
  readonly options: SendOptions
  readonly at: number
  readonly state: 'sending' | 'sent' | 'failed'
  readonly error?: MillraceError
}

interface Change { readonly seq: number, readonly apply: (message: Message) => Message, until?: number | undefined }

export interface OutgoingDeps {
  room: Room
  userId: string
  /** Something changed. */
  onChange: () => void
  /** A change was refused, and is not shown any more. */
  onRefused: (error: MillraceError) => void
  /** Up to where the log was received. */
  seq: () => number
}

export class Outgoing {
  /** The last message on its way, for the list of rooms. */
  readonly last = new Observable<Pending | undefined>(undefined)
  readonly #deps: OutgoingDeps
  readonly #failed: Failed
  #pending: readonly Pending[]
  #changes: Change[] = []

  constructor (deps: OutgoingDeps) {
    this.#deps = deps
    this.#failed = failedOf(deps.userId, deps.room.id)
    this.#pending = this.#failed.get()
    this.last.set(this.#pending.at(-1))
  }

  get pending (): readonly Pending[] { return this.#pending }

  /** The message as it will be once what is under way is in the log. */
  shown (message: Message): Message {
    return this.#changes.reduce((shown, { seq, apply }) => seq === message.seq ? apply(shown) : shown, message)
  }

  send (content: string, options: SendOptions = {}): void {
    const client_id = crypto.randomUUID()
    this.#set([...this.#pending, { client_id, content, options, at: Date.now(), state: 'sending' }])
    this.#go(client_id, content, options)
  }

  /** Sends what had failed once more, under the same `client_id`. */
  retry (clientId: string): void {
    const failed = this.#pending.find(({ client_id }) => client_id === clientId)
    if (failed?.state !== 'failed') return
    this.#mark(clientId, { state: 'sending' })
    this.#go(clientId, failed.content, failed.options)
  }

  discard (clientId: string): void { this.#set(this.#pending.filter(({ client_id }) => client_id !== clientId)) }

  #go (clientId: string, content: string, options: SendOptions): void {
    this.#deps.room.send(content, { ...options, client_id: clientId }).then(
      ({ seq }) => { seq <= this.#deps.seq() ? this.discard(clientId) : this.#mark(clientId, { state: 'sent' }) },
      (error: MillraceError) => { if (error.code !== 'closed') this.failed(clientId, error) }
    )
  }

  failed (clientId: string, error: MillraceError): void { this.#mark(clientId, { state: 'failed', error }) }

  /** Messages that an earlier page has left in the outbox. */
  adopt (queued: readonly Queued[]): void {
    const known = new Set(this.#pending.map(({ client_id }) => client_id))
    const more = queued.filter(({ frame, client_id }) => frame.type === 'message' && !known.has(client_id))
    if (more.length === 0) return
    this.#set([...this.#pending, ...more.map(({ client_id, n, frame: { content, reply_to, thread } }): Pending => ({ client_id, content, options: { reply_to, thread }, at: n, state: 'sending' }))])
  }

  /** An event of the log: what it is the outcome of is not pending any more. */
  heard ({ seq, client_id }: { seq: number, client_id?: string }): void {
    if (client_id !== undefined && this.#pending.some(pending => pending.client_id === client_id)) this.discard(client_id)
    const left = this.#changes.filter(({ until }) => until === undefined || until > seq)
    if (left.length < this.#changes.length) {
      this.#changes = left
      this.#deps.onChange()
    }
  }

  edit (seq: number, content: string): void { this.#change(seq, message => withContent(message, content), this.#deps.room.edit(seq, content)) }
  delete (seq: number): void { this.#change(seq, withoutContent, this.#deps.room.delete(seq)) }
  react (seq: number, emoji: string, added: boolean): void {
    const { room, userId } = this.#deps
    this.#change(seq, message => ({ ...message, reactions: reacted(message.reactions, emoji, userId, added) }), added ? room.react(seq, emoji) : room.unreact(seq, emoji))
  }

  #change (seq: number, apply: Change['apply'], outcome: Promise<Ack>): void {
    const change: Change = { seq, apply }
    this.#changes.push(change)
    this.#deps.onChange()
    const end = (): void => {
      this.#changes = this.#changes.filter(other => other !== change)
      this.#deps.onChange()
    }
    outcome.then(ack => {
      change.until = ack.seq
      if (ack.seq === undefined || ack.seq <= this.#deps.seq()) end()
    }, (error: MillraceError) => {
      end()
      if (error.code !== 'closed') this.#deps.onRefused(error)
    })
  }

  #mark (clientId: string, change: Partial<Pending>): void {
    this.#set(this.#pending.map(pending => pending.client_id === clientId ? { ...pending, ...change } : pending))
  }

  #set (pending: readonly Pending[]): void {
    this.#pending = pending
    this.last.set(pending.at(-1))
    this.#failed.set(pending)
    this.#deps.onChange()
  }
}
