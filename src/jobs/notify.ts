/**
 * Decides whom to tell of new messages outside of a socket: when the delay is over, of each room that has had messages, for all who can be
 * reached and to whom they are still news. What it decides it queues, one notification for all new messages of the room, for each browser and
 * server of a person; the sending is done by `deliver.ts`.
 *
 * One process of all does it at a time. Killed anywhere, nothing is lost and nothing queued twice: a room is settled after all of its people
 * were gone through, and up to where somebody was told is noted in the transaction that makes the jobs.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { whileAlone } from '../store/lock.ts'
import { dueRooms, postponeRoom, queueNotifications, reachableIn, settleRoom, takeAgain, type Cut, type DueRoom, type NewMessage, type Queued, type Via } from '../store/notifications.ts'
import type { Queryable, Store } from '../store/pool.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Item } from './jobs.ts'
import type { Heard, News } from './news.ts'

/** Advisory lock of the one that decides: the letters `noti`. */
const LOCK = 0x6e6f7469
/** Rooms that are looked at in one turn, and of them at the same time. */
const ROOMS_MAX = 200
const ROOMS_AT_ONCE = 4
/** People of a room that are decided about at a time, in one transaction. */
const PEOPLE_AT_ONCE = 200
/** Deliveries that were asked for again, taken on at a time. */
const AGAIN_MAX = 100
/** Between two turns; and after a fault, or while another process is at it. */
const TURN_MS = 1000
const AWAY_MS = 2000
const BEFORE_ALL = '00000000-0000-0000-0000-000000000000'

export interface NotifierOptions {
  store: Store
  news: News
  enqueue: (tx: Queryable, queue: Via, items: readonly Item[]) => Promise<void>
  /** For so long a message waits for its reader to come back. */
  delayMs: number
  turnMs?: number
  newId: () => string
  metrics: Metrics
  logger: Logger
}

export interface Notifier {
  /** Resolves when it has stopped. Never rejects. */
  readonly done: Promise<void>
  stop: () => Promise<void>
}

export function startNotifier ({ store, news, enqueue, delayMs, turnMs = TURN_MS, newId, metrics, logger }: NotifierOptions): Notifier {
  const stopping = new AbortController()
  const { signal } = stopping
  let fault: string | null = null

  async function dispatch (tx: Queryable, queued: readonly Queued[], forced: boolean): Promise<void> {
    for (const via of ['push', 'webhook'] as const) await enqueue(tx, via, queued.filter(item => item.via === via).map(({ id, url }) => ({ id, url, forced })))
  }

  async function queue (cut: Cut, heard: readonly Heard[]): Promise<void> {
    if (heard.length === 0) return
    await store.transaction(async tx => {
      const tellings = heard.map(({ user_id, kind, plain, messages }) => ({ user_id, kind, messages: plain, from_seq: messages.at(-1)!.seq, to_seq: messages[0]!.seq }))
      await dispatch(tx, await queueNotifications(tx, cut, tellings, newId), false)
    })
  }

  async function look (room: DueRoom): Promise<void> {
    const { room_id, cut_seq } = room
    if (cut_seq === null) return await postponeRoom(store, room_id, { delayMs })
    if (await goThrough(room, cut_seq)) await settleRoom(store, room_id, cut_seq)
  }

  /** All who can be reached in the room, some at a time. False if it was stopped: the room is gone through again, by whoever is next. */
  async function goThrough ({ room_id, first_seq, chain }: DueRoom, cut: number): Promise<boolean> {
    let messages: NewMessage[] | undefined
    for (let after = BEFORE_ALL; !signal.aborted;) {
      const people = await reachableIn(store, room_id, { after, limit: PEOPLE_AT_ONCE })
      if (people.length === 0) return true
      messages ??= await news.messages(room_id, first_seq, cut) // in most rooms there is nobody to be told: they are not read then
      const newest = messages[0]?.timestamp
      if (newest === undefined) return true
      const { heard, not } = await news.heard(room_id, people, messages)
      for (const [reason, count] of not) metrics.notificationsSuppressed.inc({ reason }, count)
      await queue({ room_id, seq: cut, chain, newest }, heard)
      if (people.length < PEOPLE_AT_ONCE) return true
      after = people.at(-1)!
    }
    return false
  }

  /** Returns whether there may be more. One room that cannot be looked at does not hold up the others; the first fault is thrown at the end. */
  async function turn (): Promise<boolean> {
    const again = await store.transaction(async tx => {
      const taken = await takeAgain(tx, AGAIN_MAX)
      await dispatch(tx, taken, true)
      return taken.length
    })
    const rooms = await dueRooms(store, { delayMs, limit: ROOMS_MAX })
    const faults: unknown[] = []
    const left = [...rooms]
    await Promise.all(Array.from({ length: ROOMS_AT_ONCE }, async () => {
      for (let room = left.shift(); room !== undefined && !signal.aborted; room = left.shift()) {
        try {
          await look(room)
        } catch (error) {
          faults.push(error)
          await postponeRoom(store, room.room_id, { delayMs })
        }
      }
    }))
    if (faults.length > 0) throw faults[0]
    return again === AGAIN_MAX || (rooms.length === ROOMS_MAX && rooms.some(({ cut_seq }) => cut_seq !== null))
  }

  async function run (): Promise<void> {
    while (!signal.aborted) {
      try {
        await whileAlone(store, LOCK, async () => {
          while (!signal.aborted) {
            const more = await turn()
            fault = null
            if (!more) await pause(turnMs)
          }
        })
      } catch (error) {
        const reason = (error as Error).message
        if (fault !== reason) logger.warn({ reason }, 'notifications wait: rooms could not be looked at')
        fault = reason
      }
      await pause(AWAY_MS)
    }
  }

  async function pause (ms: number): Promise<void> {
    await sleep(ms * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => {})
  }

  const done = run()
  return {
    done,
    async stop () {
      stopping.abort()
      await done
    },
  }
}
