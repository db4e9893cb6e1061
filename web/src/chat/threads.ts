/**
 * What is known of a room's threads, by the message that each begins at: how many answers, by whom, when the last. It is gathered from the messages and
 * events that come by; where these may lack some, `isExact` is false, and whoever shows it asks once (`filled`). Pure, but for what it remembers.
 */

export interface ThreadSummary {
  readonly count: number
  /** Who answered, the latest first. */
  readonly users: readonly string[]
  /** When the last one came. */
  readonly at: string
  readonly isExact: boolean
}

interface Answer { readonly user_id: string, readonly timestamp: string }
interface Answered extends Answer { readonly seq: number, readonly thread?: number | undefined, readonly deleted?: boolean | undefined }
type Event = Answer & { readonly type: string, readonly seq: number, readonly thread?: number, readonly message_seq?: number, readonly deleted?: unknown }

export class Threads {
  readonly #told: (root: number, summary: ThreadSummary | undefined) => void
  readonly #answers = new Map<number, Map<number, Answer>>()
  readonly #rootOf = new Map<number, number>()
  readonly #exact = new Set<number>()

  /** @param told what is known of a thread by now; undefined: nobody has answered */
  constructor (told: (root: number, summary: ThreadSummary | undefined) => void) { this.#told = told }

  /** Messages of the room in a row. @param isToEnd the newest one of the room is the last of them */
  met (messages: readonly Answered[], isToEnd: boolean): void {
    const touched = new Set<number>()
    for (const message of messages) if (message.thread !== undefined && this.#note(message, message.thread)) touched.add(message.thread)
    const first = messages[0]?.seq ?? Infinity
    if (isToEnd) for (const root of this.#answers.keys()) if (root >= first && !this.#exact.has(root)) touched.add(root) && this.#exact.add(root)
    for (const root of touched) this.#tell(root)
  }

  /** An event of the room. */
  event (event: Event): void {
    if (event.type === 'message' && event.thread !== undefined) this.met([{ ...event, deleted: event.deleted === true }], false)
    const root = event.type === 'delete' ? this.#rootOf.get(event.message_seq ?? 0) : undefined
    if (root !== undefined && this.#answers.get(root)?.delete(event.message_seq!) === true) this.#tell(root)
  }

  /** All answers of a thread. */
  filled (root: number, answers: readonly Answered[]): void {
    for (const answer of answers) this.#note(answer, root)
    this.#exact.add(root)
    this.#tell(root)
  }

  /** What came after this seq is void. */
  reset (seq: number): void {
    for (const [root, answers] of this.#answers) {
      for (const answer of answers.keys()) if (answer > seq) answers.delete(answer)
      this.#tell(root)
    }
  }

  #note ({ seq, user_id, timestamp, deleted }: Answered, root: number): boolean {
    const answers = this.#answers.get(root) ?? new Map<number, Answer>()
    this.#answers.set(root, answers)
    if (deleted === true) return answers.delete(seq)
    if (answers.has(seq)) return false
    answers.set(seq, { user_id, timestamp })
    this.#rootOf.set(seq, root)
    return true
  }

  #tell (root: number): void {
    const answers = [...this.#answers.get(root) ?? []].sort(([a], [b]) => b - a).map(([, answer]) => answer)
    const latest = answers[0]
    this.#told(root, latest === undefined ? undefined : { count: answers.length, users: [...new Set(answers.map(({ user_id }) => user_id))], at: latest.timestamp, isExact: this.#exact.has(root) })
  }
}
