/**
 * Connections that follow all rooms of their user (`resume.all`): those that the user is in when it is asked for, in a constant number
 * of queries, and those into which they come later.
 *
 * Who is in which rooms is known from the read model, with what changed lately laid over it; whether it is true is asked of the
 * rooms themselves [G9]. News comes as a signal, which may be lost; so the newest changes are looked at with every heartbeat too.
 * Every change is acted upon once: a room that the client unsubscribes from stays unsubscribed until the user comes into it anew.
 */
import type { Access, Reading } from '../commands/access.ts'
import { LOBBY_ID } from '../domain/lobby.ts'
import { reject, type Rejection } from '../domain/rejections.ts'
import { LogFault } from '../log/log.ts'
import type { Marks } from '../log/marks.ts'
import type { RecentRoom, RecentRooms } from '../log/recent-rooms.ts'
import { isUnavailable } from '../store/pool.ts'
import type { Logger } from '../telemetry/logging.ts'
import { createWaitingLine } from '../waiting-line.ts'
import type { ClaimedPlace } from './frames.ts'
import type { Subscribing, Subscriptions } from './subscriptions.ts'

/** Connections whose rooms are looked up at the same time, and those that may wait for it. */
const LOOKUPS_MAX = 8
const LOOKUPS_WAITING_MAX = 20_000
/** Rooms that are asked in one round trip. */
const ROOMS_AT_ONCE = 200
const RETRY_MS = 1000

/** A connection that may follow all rooms of its user. */
export interface Following extends Subscribing {
  /** Device, or session where the client named none. */
  readonly device: string
}

export interface Memberships {
  /**
   * Subscribes the connection to all rooms that its user is in, from the device's delivered mark where there is one, else from the head,
   * and to those that they come into, until `leave`. Rooms to which it is subscribed, or about to be, stay as they are.
   * What is in the way is answered: `too_many_subscriptions` once, `unavailable`, `busy`.
   * @param named rooms that are left alone: the client has asked for them by themselves
   */
  follow: (connection: Following, named: ReadonlySet<string>) => Promise<void>
  /** A membership of this user has changed: at `seq`. */
  onChanged: (connections: readonly Subscribing[], userId: string, roomId: string, seq: number) => Promise<void>
  /** Looks for changes of which no signal came. */
  look: (connection: Subscribing) => Promise<void>
  /** It was put out of the room: what comes of it later is news again. */
  forget: (connection: Subscribing, roomId: string) => void
  leave: (connection: Subscribing) => void
}

export interface MembershipsOptions {
  subscriptions: Pick<Subscriptions, 'add' | 'has' | 'room'>
  /** Rooms that the user is in, as the read model knows, the newest first. */
  roomsOf: (userId: string, limit: number) => Promise<string[]>
  recentRooms: Pick<RecentRooms, 'of'>
  access: Pick<Access, 'readings'>
  marks: Pick<Marks, 'deliveredTo'>
  roomsMax: number
  logger: Logger
}

type Allowed = Extract<Reading, { allowed: true }>

export function createMemberships ({ subscriptions, roomsOf, recentRooms, access, marks, roomsMax, logger }: MembershipsOptions): Memberships {
  /** Who follows → the changes that were acted upon: room → seq. */
  const followers = new Map<Subscribing, Map<string, number>>()
  /** Those of them whose rooms are being looked up: what changed lately is part of that, and no news. */
  const beginning = new Set<Subscribing>()
  const line = createWaitingLine({ inside: LOOKUPS_MAX, waiting: LOOKUPS_WAITING_MAX })

  /** Those of the rooms that the user is in. */
  async function inside (roomIds: readonly string[], userId: string): Promise<Map<string, Allowed>> {
    const rooms = new Map<string, Allowed>()
    for (let i = 0; i < roomIds.length; i += ROOMS_AT_ONCE) {
      for (const [roomId, reading] of await access.readings(roomIds.slice(i, i + ROOMS_AT_ONCE), userId)) if (reading.allowed && reading.inside) rooms.set(roomId, reading)
    }
    return rooms
  }

  /** Subscribes to those that there is room for. False: there is not for all. */
  function subscribe (connection: Subscribing, places: ReadonlyArray<readonly [roomId: string, after: ClaimedPlace | undefined]>): boolean {
    const lacking = places.filter(([roomId]) => !subscriptions.has(connection, roomId))
    const fitting = lacking.slice(0, Math.max(0, subscriptions.room(connection)))
    for (const [roomId, after] of fitting) subscriptions.add(connection, roomId, after)
    return fitting.length === lacking.length
  }

  async function subscribeAll (connection: Following, named: ReadonlySet<string>): Promise<void> {
    const { userId, device } = connection
    const seen = followers.get(connection)
    if (seen === undefined) return
    const recent = await recentRooms.of(userId!) // first: what the read model had by then is in its list
    const listed = await roomsOf(userId!, roomsMax + 1)
    for (const change of recent) note(seen, change)
    const wanted = [...new Set([LOBBY_ID, userId!, ...recent.map(({ room_id }) => room_id), ...listed])].filter(roomId => !named.has(roomId) && !subscriptions.has(connection, roomId))
    const rooms = await inside(wanted, userId!)
    const delivered = await marks.deliveredTo([...rooms.keys()], userId!, device)
    if (!followers.has(connection)) return // meanwhile
    const places = [...rooms].map(([roomId, { room }]) => {
      const seq = delivered.get(roomId)
      return [roomId, seq === undefined || seq > room.seq ? undefined : { seq }] as const // a mark beyond the head is of another history
    })
    if (!subscribe(connection, places)) answer(connection, reject('too_many_subscriptions'))
  }

  function answer ({ outbox }: Subscribing, rejection: Rejection): void {
    outbox.send({ type: 'error', ...rejection })
  }

  /** Those of the user's changes that have not been acted upon for this connection. */
  function fresh (connection: Subscribing, changes: readonly RecentRoom[]): RecentRoom[] {
    const seen = followers.get(connection)
    return seen === undefined ? [] : changes.filter(({ room_id, seq }) => seq > (seen.get(room_id) ?? 0))
  }

  async function act (connections: readonly Subscribing[], userId: string, changes: readonly RecentRoom[]): Promise<void> {
    const fit = connections.map(connection => [connection, fresh(connection, changes)] as const).filter(([, some]) => some.length > 0)
    if (fit.length === 0) return
    const rooms = await inside([...new Set(fit.flatMap(([, some]) => some.map(({ room_id }) => room_id)))], userId)
    for (const [connection, some] of fit) {
      const seen = followers.get(connection)
      if (seen === undefined) continue
      const places = fresh(connection, some).flatMap(({ room_id, seq }) => {
        const reading = rooms.get(room_id)
        return reading === undefined ? [] : [[room_id, { seq: Math.max(seq - 1, reading.from) }] as const]
      })
      for (const change of some) note(seen, change)
      if (!subscribe(connection, places)) answer(connection, reject('too_many_subscriptions'))
    }
  }

  return {
    async follow (connection, named) {
      if (!followers.has(connection)) followers.set(connection, new Map()) // at once, so that what changes from here on is heard
      beginning.add(connection)
      try {
        const looking = line.enter(async () => { await subscribeAll(connection, named) })
        if (looking === undefined) answer(connection, reject('busy', undefined, RETRY_MS))
        else await looking
      } catch (error) {
        if (!(error instanceof LogFault || isUnavailable(error))) logger.error({ err: error }, 'the rooms of a user could not be looked up')
        if (followers.has(connection)) answer(connection, reject('unavailable', undefined, RETRY_MS))
      } finally {
        beginning.delete(connection)
      }
    },

    async onChanged (connections, userId, room_id, seq) {
      const following = connections.filter(connection => followers.has(connection))
      if (following.length === 0) return
      await act(following, userId, [{ room_id, seq }]).catch(() => {}) // the next heartbeat looks again
    },

    async look (connection) {
      const seen = followers.get(connection)
      if (seen === undefined || beginning.has(connection)) return
      try {
        const recent = await recentRooms.of(connection.userId!)
        await act([connection], connection.userId!, recent)
        const kept = new Set(recent.map(({ room_id }) => room_id))
        for (const roomId of seen.keys()) if (!kept.has(roomId)) seen.delete(roomId) // it will not be told of again
      } catch {
        // the next one looks again
      }
    },

    forget (connection, roomId) { followers.get(connection)?.delete(roomId) },
    leave (connection) { followers.delete(connection) },
  }
}

function note (seen: Map<string, number>, { room_id, seq }: RecentRoom): void {
  seen.set(room_id, Math.max(seq, seen.get(room_id) ?? 0))
}
