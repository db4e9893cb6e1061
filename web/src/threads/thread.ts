/**
 * One thread, as long as its panel is open: its first message and the answers, loaded once, and from then on kept by the room's events. Events are heard
 * from before the first page is asked for, and what a page had in it already is not counted twice; so nothing falls between the two.
 */
import type { MillraceError, RoomEvent } from 'millrace/client'
import type { Api } from '../api/calls.ts'
import { fold, messageOfEvent, messageOfItem, type Message } from '../chat/fold.ts'
import { Observable } from '../chat/observable.ts'
import type { Timeline } from '../chat/timeline.ts'

/** Answers that are loaded; of more, the first ones. */
const ANSWERS_MAX = 2_000

export interface ThreadView {
  readonly status: 'loading' | 'ready' | 'failed'
  readonly error?: MillraceError
  /** Null: it is hidden from whoever came later. */
  readonly root: Message | null
  readonly answers: readonly Message[]
}

export class Thread {
  readonly view = new Observable<ThreadView>({ status: 'loading', root: null, answers: [] })
  readonly seq: number
  readonly #timeline: Timeline
  readonly #api: Api
  #heard: RoomEvent[] = []
  #loads = 0
  #isLoading = false

  constructor ({ timeline, api, seq }: { timeline: Timeline, api: Api, seq: number }) {
    this.#timeline = timeline
    this.#api = api
    this.seq = seq
  }

  /** Loads it and follows it; the returned function ends that. */
  open (): () => void {
    const { room } = this.#timeline
    const ends = [
      room.on('event', event => { this.#event(event) }),
      room.on('reset', () => { void this.load() }),
    ]
    void this.load()
    return () => {
      this.#loads++
      for (const end of ends) end()
    }
  }

  async load (): Promise<void> {
    const n = ++this.#loads
    this.#heard = []
    this.#isLoading = true
    try {
      let root: Message | null = null
      let answers: Message[] = []
      let asOf = 0
      let after: number | undefined
      do {
        const page = await this.#api.thread(this.#timeline.room.id, this.seq, after)
        asOf = page.as_of.seq
        if (page.root !== null) root = messageOfItem(page.root, asOf)
        answers.push(...page.items.map(item => messageOfItem(item, asOf)))
        after = page.next ?? undefined
      } while (after !== undefined && answers.length < ANSWERS_MAX)
      if (n !== this.#loads) return
      if (after === undefined) this.#timeline.threads.filled(this.seq, answers)
      for (const event of this.#heard) {
        answers = following(answers, event, this.seq)
        root = root === null ? null : fold(root, event)
      }
      this.view.set({ status: 'ready', root, answers })
    } catch (error) {
      if (n === this.#loads) this.view.update(({ root, answers, status }) => status === 'ready' ? { status, root, answers } : { status: 'failed', error: error as MillraceError, root, answers })
    } finally {
      if (n === this.#loads) this.#isLoading = false
    }
  }

  #event (event: RoomEvent): void {
    const { status, root, answers } = this.view.get()
    if (this.#isLoading) this.#heard.push(event)
    if (status !== 'ready') return
    const next = following(answers, event, this.seq)
    const first = root === null ? null : fold(root, event)
    if (next !== answers || first !== root) this.view.set({ status, root: first, answers: next })
  }
}

/** The answers after an event. */
function following (answers: readonly Message[], event: RoomEvent, root: number): Message[] {
  if (event.type === 'message') return event.thread === root && event.seq > (answers.at(-1)?.seq ?? 0) ? [...answers, messageOfEvent(event)] : answers as Message[]
  const i = answers.findIndex(({ seq }) => seq === event.message_seq)
  if (i === -1) return answers as Message[]
  const message = fold(answers[i]!, event)
  return message === answers[i] ? answers as Message[] : answers.with(i, message)
}
