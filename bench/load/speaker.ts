/** A connection that only sends, to several rooms in turn: what the others miss and hear. It stays where it is and loses nothing. */
import type { Connection } from './connection.ts'
import { clientIdOf, contentOf, type Dialect } from './dialect.ts'
import type { Witness } from './evidence.ts'
import type { SharedRoom } from './returner.ts'

/** Messages under way when a room is filled: less than a connection may have. */
const WINDOW = 128

export class Speaker {
  readonly connection: Connection
  readonly #rooms: readonly SharedRoom[]
  readonly #dialect: Dialect
  readonly #keepSent: (who: Witness, roomId: string, clientId: string, content: string) => void
  readonly #inRoom = new Map<SharedRoom, number>()
  #at = 0
  /** Messages that `fill` has still to send. */
  #left = 0
  #filled: (() => void) | undefined

  constructor ({ connection, rooms, dialect, keepSent }: { connection: Connection, rooms: readonly SharedRoom[], dialect: Dialect, keepSent: (who: Witness, roomId: string, clientId: string, content: string) => void }) {
    this.connection = connection
    this.#rooms = rooms
    this.#dialect = dialect
    this.#keepSent = keepSent
  }

  unacked (): number { return this.connection.sent - this.connection.acked }

  say (dueUs: number): void {
    this.#push(dueUs)
    this.connection.flush()
  }

  #push (dueUs: number): void {
    const room = this.#rooms[this.#at]!
    this.#at = (this.#at + 1) % this.#rooms.length
    const n = ++this.connection.sent
    const inRoom = (this.#inRoom.get(room) ?? 0) + 1
    this.#inRoom.set(room, inRoom)
    room.sent += 1
    const content = contentOf(0, inRoom, dueUs)
    const clientId = clientIdOf(this.connection.index, n)
    if (room.sampled) this.#keepSent(this.connection, room.id, clientId, content)
    this.connection.push(this.#dialect.messageOf(n, room.id, clientId, content))
  }

  /** Sends so many messages to each of its rooms, as fast as they are acked; resolves when all are. */
  async fill (perRoom: number): Promise<void> {
    if (perRoom === 0 || this.#rooms.length === 0) return
    this.#left = perRoom * this.#rooms.length
    await new Promise<void>(resolve => {
      this.#filled = resolve
      this.#goOn()
    })
  }

  /** To be told of every ack. */
  onAcked (): void {
    this.connection.acked += 1
    if (this.#filled !== undefined) this.#goOn()
  }

  #goOn (): void {
    while (this.#left > 0 && this.unacked() < WINDOW) {
      this.#left -= 1
      this.#push(0)
    }
    this.connection.flush()
    if (this.#left > 0 || this.unacked() > 0) return
    this.#filled?.()
    this.#filled = undefined
  }
}
