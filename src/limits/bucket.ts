/**
 * A token bucket in memory: `perSecond` on average, `burst` at once. One socket's frames and one gateway's upgrades are counted
 * by it, and what is counted for all gateways (`limits.ts`) while Redis is away.
 */
export interface Bucket {
  /**
   * Takes `cost` tokens at `now` (milliseconds) and returns 0, if there is one: what it lacks is owed. Else it takes none and
   * returns the milliseconds until there will be one.
   */
  take: (now: number, cost?: number) => number
  /** Gives one back. */
  give: () => void
}

export class TokenBucket implements Bucket {
  readonly #perMs: number
  readonly #burst: number
  #tokens: number
  #at: number

  constructor (perSecond: number, burst: number, now: number) {
    this.#perMs = perSecond / 1000
    this.#burst = burst
    this.#tokens = burst
    this.#at = now
  }

  take (now: number, cost = 1): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, now - this.#at) * this.#perMs)
    this.#at = now
    if (this.#tokens < 1) return Math.ceil((1 - this.#tokens) / this.#perMs)
    this.#tokens -= cost
    return 0
  }

  give (): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + 1)
  }
}
