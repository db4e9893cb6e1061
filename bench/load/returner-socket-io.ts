/**
 * A client of the peer that comes back, as socket.io-client does with connection state recovery: it names its session and the offset of
 * the last packet that it received, and gets what it missed if the server can still tell; otherwise it subscribes anew, and what came
 * meanwhile is gone. Messages wait while it is away; one that was sent and not acked is not sent again.
 */
import type { Connection } from './connection.ts'
import { clientIdOf, digits, MARK } from './dialect.ts'
import { Returner } from './returner.ts'

const CONTENT_AT = '42["message",{"content":"'.length
const ZERO = 48; const TWO = 50; const THREE = 51; const FOUR = 52; const BRACKET = 91
/** Of the ack of a subscription: above all messages. */
const SUBSCRIBE_ID = 900_000_000
/** A packet ends with `},"<milliseconds>-<number>"]`. */
const OFFSET = /,"(\d+-\d+)"\]$/
const OFFSET_CHARS_MAX = 40

export class SocketIoReturner extends Returner {
  protected readonly path = '/socket.io/?EIO=4&transport=websocket'
  /** Times that the server could give back the session, and could not. */
  recovered = 0
  unrecovered = 0
  #pid: string | undefined
  #offset: string | undefined

  protected greet (connection: Connection): void {
    connection.push(`40${JSON.stringify({ ...this.#pid === undefined ? {} : { pid: this.#pid, offset: this.#offset }, token: this.options.token })}`)
    connection.flush()
  }

  protected textOf (n: number, { content }: { content: string }): string {
    return `42${n}["message",{"content":"${content}","room_id":"${this.room.id}","client_id":"${clientIdOf(this.index, n)}"}]`
  }

  protected forget (): void {
    for (const [n, { wasSent }] of this.outgoing) {
      if (!wasSent) continue
      this.outgoing.delete(n)
      this.lostMessages += 1
    }
  }

  protected onText (connection: Connection, bytes: Buffer, from: number, to: number): void {
    if (bytes[from] === TWO && to === from + 1) return connection.push('3')
    if (bytes[from] !== FOUR) return // of the transport
    switch (bytes[from + 1]) {
      case ZERO: return this.#onConnect(JSON.parse(bytes.toString('utf8', from + 2, to)) as { pid?: string })
      case TWO: {
        const at = from + CONTENT_AT
        if (bytes[at] === MARK) this.received(bytes, at)
        this.#offset = OFFSET.exec(bytes.toString('latin1', Math.max(from, to - OFFSET_CHARS_MAX), to))?.[1] ?? this.#offset
        return
      }
      case THREE: {
        let end = from + 2
        while (bytes[end] !== BRACKET) end++
        const id = digits(bytes, from + 2, end)
        if (id !== SUBSCRIBE_ID) return this.acked(id)
        this.becomeLive()
        return this.sendWaiting()
      }
      case FOUR: return this.options.problem(`socket ${this.index} of the peer got ${bytes.toString('utf8', from, to)}`)
    }
  }

  #onConnect ({ pid }: { pid?: string }): void {
    const before = this.#pid
    this.#pid = pid
    if (pid !== undefined && pid === before) {
      this.recovered += 1
      this.becomeLive()
      return this.sendWaiting()
    }
    if (before !== undefined) this.unrecovered += 1
    this.#offset = undefined
    this.connection?.push(`42${SUBSCRIBE_ID}${JSON.stringify(['subscribe', [this.room.id]])}`)
    this.connection?.flush()
  }
}
