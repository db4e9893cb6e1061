/**
 * Tickets for browsers, which can put nothing but a URL into the opening of a WebSocket, where an access token would end up in the
 * logs of proxies: good for one socket, within 30 s. Redis holds a hash of each and gives it out once (GETDEL).
 */
import { hash, randomBytes } from 'node:crypto'
import { faultOf, type Redis } from './redis.ts'

export const TICKET_S = 30
const TICKET_BYTES = 32

/** Who asked for a ticket. `expires_at`: epoch milliseconds at which the token ends that asked. */
export interface Holder {
  readonly user_id: string
  readonly session_id: string
  readonly expires_at: number
}

export interface Tickets {
  /** A new ticket. Throws LogFault. */
  issue: (holder: Holder) => Promise<string>
  /** Who it was given to; undefined if it is none, too old or used. Throws LogFault. */
  redeem: (ticket: string) => Promise<Holder | undefined>
}

/** Keys: string `ticket:<SHA-256>`. */
export function createTickets ({ redis }: { redis: Redis }): Tickets {
  const keyOf = (ticket: string): string => `ticket:${hash('sha256', ticket, 'base64url')}`
  return {
    async issue ({ user_id, session_id, expires_at }) {
      const ticket = randomBytes(TICKET_BYTES).toString('base64url')
      try {
        await redis.set(keyOf(ticket), JSON.stringify({ user_id, session_id, expires_at }), 'EX', TICKET_S)
      } catch (error) {
        throw faultOf(error)
      }
      return ticket
    },

    async redeem (ticket) {
      if (!/^[\w-]{43}$/.test(ticket)) return undefined
      try {
        const held = await redis.getdel(keyOf(ticket))
        return held === null ? undefined : JSON.parse(held) as Holder
      } catch (error) {
        throw faultOf(error)
      }
    },
  }
}
