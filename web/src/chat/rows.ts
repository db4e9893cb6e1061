/**
 * The rows of a conversation or of a thread: its messages, and behind them what is on its way. A row knows whether a day begins with it and whether
 * it goes on where the one before left off; an answer within a thread does so, in its room, where that one is of the same thread. Rows whose message and predecessor did not change are the same objects, so that only what
 * changed is rendered.
 */
import type { Message } from './fold.ts'
import type { Pending } from './outgoing.ts'

/** Messages of one author within this time, in milliseconds, are one group. */
const GROUP_MS = 5 * 60_000

export interface Row {
  /** The same for a message on its way and in the log. */
  readonly key: string
  readonly message: Message
  /** Set as long as it is on its way. */
  readonly pending?: Pending
  /** A day begins with it. */
  readonly isNewDay: boolean
  /** It goes on where the one before left off: no avatar, no name. */
  readonly isCompact: boolean
}

type Before = Pick<Message, 'user_id' | 'timestamp' | 'deleted' | 'thread'> | undefined

const dayOf = (timestamp: string): string => new Date(timestamp).toDateString()

function rowOf (message: Message, before: Before, pending: Pending | undefined, isInThread: boolean): Row {
  const isNewDay = before === undefined || dayOf(before.timestamp) !== dayOf(message.timestamp)
  const isOn = !isNewDay && before.thread === message.thread
  const isLine = message.thread !== undefined && !isInThread
  const isCompact = isOn && (isLine || (before.user_id === message.user_id && message.reply_to === undefined && Date.parse(message.timestamp) - Date.parse(before.timestamp) < GROUP_MS))
  return { key: message.client_id ?? String(message.seq), message, isNewDay, isCompact, ...(pending !== undefined && { pending }) }
}

/**
 * Makes rows, again and again, reusing those of the last time; where nothing changed it is the same list: a list that is another one asks for what is
 * beyond its ends again. @param isInThread they are a thread by itself
 */
export function createRows (userId: string, isInThread = false) {
  let last = new Map<string, { row: Row, before: Before }>()
  let made: readonly Row[] = []

  const asMessage = ({ client_id, content, options: { reply_to, thread }, at }: Pending): Message => ({
    seq: Number.MAX_SAFE_INTEGER, event_id: '', user_id: userId, content, timestamp: new Date(at).toISOString(), client_id, reply_to, thread, reactions: [], mentions: [], as_of: 0,
  })

  return {
    /** @param context the first message is not shown: it tells what the second one follows */
    make (messages: readonly Message[], pending: readonly Pending[], context: boolean): readonly Row[] {
      const next: typeof last = new Map()
      const rows: Row[] = []
      let before: Before = context ? messages[0] : undefined
      const add = (message: Message, from?: Pending): void => {
        const key = message.client_id ?? String(message.seq)
        const kept = last.get(key)
        const isSame = kept !== undefined && kept.before === before && kept.row.pending === from && (from !== undefined || kept.row.message === message)
        const row = isSame ? kept.row : rowOf(message, before, from, isInThread)
        if (next.has(key)) return // another page is quicker to acknowledge than to tell
        next.set(key, { row, before })
        rows.push(row)
        before = row.message
      }
      for (const message of context ? messages.slice(1) : messages) add(message)
      for (const one of pending) add(asMessage(one), one)
      last = next
      if (rows.length !== made.length || rows.some((row, i) => row !== made[i])) made = rows
      return made
    },
  }
}
