/**
 * How fast a connection is read. A client is slowed down by not reading it: TCP tells it, and nobody else waits. Whoever has a reason
 * holds the socket and releases it again: too many commands under way, frames that come too fast, a token that is being checked [G7].
 */
import type { WebSocket } from 'ws'
import type { Config } from '../config.ts'
import { TokenBucket, type Bucket } from '../limits/bucket.ts'

/** A larger frame counts as several against the rate: reading it takes as long. */
const BYTES_PER_TOKEN = 4096
/** How long a socket that sends too fast is not read. Between two reads of 64 KiB it costs others nothing. */
export const TOO_FAST_MS = 1000

export class Inflow {
  readonly #ws: Pick<WebSocket, 'pause' | 'resume'>
  readonly #config: Config
  readonly #clock: () => number
  readonly #frames: Bucket | undefined
  #holds = 0
  #underWay = 0
  #tooFast = false

  constructor (ws: Pick<WebSocket, 'pause' | 'resume'>, { config, clock }: { config: Config, clock: () => number }) {
    this.#ws = ws
    this.#config = config
    this.#clock = clock
    this.#frames = config.RATE_LIMITS === 'off' ? undefined : new TokenBucket(config.FRAMES_PER_SECOND, 5 * config.FRAMES_PER_SECOND, clock())
  }

  /** A frame came: how many milliseconds too soon. If it is any, the socket is not read for a while. */
  take (bytes: number): number {
    const waitMs = this.#frames?.take(this.#clock(), 1 + Math.floor(bytes / BYTES_PER_TOKEN)) ?? 0
    if (waitMs > 0) this.#slowDown()
    return waitMs
  }

  /** Each hold is paired with one release. */
  hold (): void {
    this.#holds += 1
    if (this.#holds === 1) this.#ws.pause()
  }

  release (): void {
    this.#holds -= 1
    if (this.#holds === 0) this.#ws.resume()
  }

  /** A command is under way now, until `end`. */
  begin (): void {
    this.#underWay += 1
    if (this.#underWay === this.#config.COMMANDS_IN_FLIGHT_MAX) this.hold()
  }

  end (): void {
    if (this.#underWay === this.#config.COMMANDS_IN_FLIGHT_MAX) this.release()
    this.#underWay -= 1
  }

  /** Without a pause the loop would read a flood for as long as it comes, whatever is answered, and nobody else. */
  #slowDown (): void {
    if (this.#tooFast) return
    this.#tooFast = true
    this.hold()
    setTimeout(() => {
      this.#tooFast = false
      this.release()
    }, Math.min(TOO_FAST_MS, this.#config.HEARTBEAT_MS / 2)).unref() // less than a heartbeat: its pong is read in time
  }
}
