/**
 * Facts are gathered aside: a session waits for what its command needs from elsewhere (a password, Postgres), a room never waits
 * for a session. What the session sends meanwhile waits behind it [G1]; `back` puts them all into the queue again, in their place.
 */
import { decide } from '../domain/decide.ts'
import type { Facts } from '../domain/commands.ts'
import type { Rejection, RejectionCode } from '../domain/rejections.ts'
import { emptyRoom, type Room } from '../domain/room.ts'
import type { RoomHashes } from '../log/log.ts'
import { within } from '../telemetry/tracing.ts'
import { isSlowed, wantsFacts, type FactGathering } from './facts.ts'
import { factsWithRights, RETRY_MS, usersOf, type Pending, type Queue } from './queue.ts'
import { roomFrom } from './room-hashes.ts'

/** A "no" that facts may turn; every other is given without them. */
const FACTUAL: ReadonlySet<string> = new Set<RejectionCode>(['message_not_found', 'bad_reply'])

interface AsideOptions {
  /** Left out where no command needs any. */
  gathering: FactGathering | undefined
  readRoom: (roomId: string, users: readonly string[]) => Promise<RoomHashes | undefined>
  /** Notes a fault; what is said to those whom it stops. */
  faulted: (error: unknown, what: string) => Rejection
  /** A session that waited for the facts of `pending` comes back. @param no why there are none */
  back: (queue: Queue, waited: Pending[], pending: Pending, no: Rejection | undefined) => void
  clock: () => number
}

export function createAside ({ gathering, readRoom, faulted, back, clock }: AsideOptions) {
  const lacksFacts = ({ request, facts }: Pending, room: Room | null | undefined): boolean =>
    gathering !== undefined && facts === undefined && wantsFacts(request.command, room)

  /** Never throws. */
  async function gather (queue: Queue, pending: Pending): Promise<void> {
    const no = await factsFor(queue.id, pending)
    const { session } = pending.request
    const waited = queue.aside.get(session) ?? []
    queue.aside.delete(session)
    back(queue, waited, pending, no)
  }

  /** Gives the command its facts, or says why there are none. */
  async function factsFor (roomId: string, pending: Pending): Promise<Rejection | undefined> {
    for (let pauseMs = 20; ; pauseMs = Math.min(2 * pauseMs, 500)) {
      try {
        pending.facts = await factsOf(roomId, pending)
        return undefined
      } catch (error) {
        const no = faulted(error, 'the facts of a command could not be gathered')
        if (no.code !== 'unavailable' || performance.now() - pending.since > RETRY_MS) return no
        await new Promise(resolve => setTimeout(resolve, pauseMs * (0.5 + Math.random())))
      }
    }
  }

  async function factsOf (roomId: string, pending: Pending): Promise<Facts> {
    const { command, user_id, at } = pending.request
    const now = at ?? clock()
    const hashes = await readRoom(roomId, usersOf(pending))
    const room = hashes === undefined ? null : roomFrom(emptyRoom(roomId), hashes)
    // Whoever may not anyway costs nobody a query.
    const early = decide(command, room ?? undefined, user_id, now, factsWithRights(pending))
    if ('rejection' in early && !FACTUAL.has(early.rejection.code) && command.type !== 'join') return {}
    const facts = await gathering!.of(command, room, user_id, now)
    if (pending.slotted || !isSlowed(command, room, user_id)) return facts
    if ('rejection' in decide(command, room ?? undefined, user_id, now, facts)) return facts // it takes no slot
    const no = await gathering!.slow(room!, user_id)
    if (no !== undefined) return { ...facts, no }
    pending.slotted = true
    return facts
  }

  return {
    /** Whether it cannot be decided yet. @param room undefined if it is not loaded */
    lacksFacts,

    /** Returns those that can be decided now. */
    put (queue: Queue, batch: Pending[]): Pending[] {
      return batch.filter(pending => {
        const { session } = pending.request
        const before = queue.aside.get(session)
        if (before !== undefined) before.push(pending)
        else if (!lacksFacts(pending, queue.room)) return true
        else {
          queue.aside.set(session, [pending])
          void within(pending.span, async () => { await gather(queue, pending) })
        }
        return false
      })
    },
  }
}
