/** Who types in a room: told over the socket, gone when they stop, when their message comes, or after a while. */
import { Observable } from './observable.ts'

/** Milliseconds after which somebody of whom nothing was heard does not type any more; the server itself says so after 6 s. */
const TYPING_MS = 8_000

export class Typing {
  readonly users = new Observable<readonly string[]>([])
  readonly #userId: string
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>()

  constructor (userId: string) { this.#userId = userId }

  told ({ user_id, active }: { user_id: string, active: boolean }): void {
    if (user_id === this.#userId) return
    if (!active) return this.stopped(user_id)
    clearTimeout(this.#timers.get(user_id))
    this.#timers.set(user_id, setTimeout(() => { this.stopped(user_id) }, TYPING_MS))
    this.#tell()
  }

  stopped (userId: string): void {
    clearTimeout(this.#timers.get(userId))
    if (this.#timers.delete(userId)) this.#tell()
  }

  close (): void { for (const timer of this.#timers.values()) clearTimeout(timer) }

  #tell (): void { this.users.set([...this.#timers.keys()]) }
}
