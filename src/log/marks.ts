/**
 * Marks: how far users have read, and their devices been delivered. Never in a room's log: one for each member and message
 * would drown it. What comes within `FLUSH_MS` is folded, appended to the partition's `marks` stream (for the projection), folded into
 * the room's newest marks (for whoever subscribes), and told live: to the room's subscribers and the user's other devices.
 *
 * A mark never goes back, and none is beyond the head. Rooms of more than `roomMax` members keep no newest marks and are told
 * nothing. Who may mark is asked before.
 */
import { createWaitingLine } from '../waiting-line.ts'
import type { Keys } from './keys.ts'
import { LogFault } from './log.ts'
import type { PeopleKeys } from './people-keys.ts'
import type { Publisher } from './publisher.ts'
import { faultOf, script, type Redis } from './redis.ts'

/** How long marks are gathered before they are written and told. */
const FLUSH_MS = 200
/** Marks that may wait to be written. */
const WAITING_MAX = 50_000
const MARKS_PER_CALL = 500
/** About how many marks a partition's stream keeps, should nobody take them out. */
const STREAM_ENTRIES_MAX = 100_000
/** Rooms whose newest marks are read at the same time, and that may wait for it. */
const READS_MAX = 16
const READS_WAITING_MAX = 20_000
/** How long what was read answers others who ask for the same room. */
const READ_FRESH_MS = 1000
const READ_FRESH_ROOMS_MAX = 1000

export interface Mark {
  readonly room_id: string
  readonly user_id: string
  readonly kind: 'read' | 'delivered'
  /** Which device of the user has been delivered; empty for read. */
  readonly device: string
  readonly seq: number
  /** Whether the user is in the room. Who only looks in is not told of to others. */
  readonly member: boolean
  /** ID of the connection that it came from: the one that need not be told. */
  readonly connection?: string | undefined
}

/** Newest marks of users of a room. */
export interface RoomMarks {
  readonly read: Record<string, number>
  readonly delivered: Record<string, number>
}

export interface Marks {
  /** Moves a mark, soon, and gives where it is then: further than asked if it was already, the head if that comes first. Throws LogFault. */
  move: (mark: Mark) => Promise<number>
  /** The newest marks of a room; undefined where there are none, or too many ask. Throws LogFault. */
  of: (roomId: string) => Promise<RoomMarks | undefined>
  /** How far the user has read: room → seq. Rooms that keep no such mark are absent. Throws LogFault. */
  readBy: (roomIds: readonly string[], userId: string) => Promise<Map<string, number>>
  /** How far a device of the user has been delivered: room → seq. Rooms that keep no such mark are absent. Throws LogFault. */
  deliveredTo: (roomIds: readonly string[], userId: string, device: string) => Promise<Map<string, number>>
  /** Writes what waits. */
  stop: () => Promise<void>
}

export interface MarksOptions {
  redis: Redis
  keys: Keys
  peopleKeys: PeopleKeys
  publisher: Publisher
  /** Most members of a room whose marks are kept and told. */
  roomMax: number
  /** Told of each read mark that moved, and where to. */
  onRead?: (mark: Mark, seq: number) => void
  clock: () => number
}

interface Waiting {
  /** The furthest of those folded into it. */
  mark: Mark
  readonly answers: Array<{ resolve: (seq: number) => void, reject: (error: unknown) => void }>
}

const marksScript = script('marks')

export function marksFrame (roomId: string, { read = {}, delivered = {} }: Partial<RoomMarks>): object {
  return { type: 'marks', room_id: roomId, read, delivered }
}

export function createMarks ({ redis, keys, peopleKeys, publisher, roomMax, onRead = () => {}, clock }: MarksOptions): Marks {
  /** Room → kind, user and device → what waits. */
  let waiting = new Map<string, Map<string, Waiting>>()
  let count = 0
  let timer: NodeJS.Timeout | undefined
  let flushing: Promise<void> = Promise.resolve()
  const line = createWaitingLine({ inside: READS_MAX, waiting: READS_WAITING_MAX })
  const fresh = new Map<string, { at: number, marks: Promise<RoomMarks | undefined> }>()

  function flush (): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const rooms = waiting
    waiting = new Map()
    count = 0
    const partitions = Map.groupBy(rooms, ([roomId]) => keys.partitionOf(roomId))
    const calls = [...partitions].flatMap(([partition, ofPartition]) => callsOf(ofPartition).map(async call => { await write(partition, call) }))
    flushing = Promise.all([flushing, ...calls]).then(() => {})
    return flushing
  }

  async function write (partition: number, call: Call): Promise<void> {
    const callKeys = [keys.epoch(partition), peopleKeys.marks(partition)]
    const args = [String(roomMax), String(STREAM_ENTRIES_MAX)]
    for (const [roomId, marks] of call) {
      callKeys.push(keys.meta(roomId), peopleKeys.roomMarks(roomId))
      args.push(roomId, String(marks.length))
      for (const { mark: { kind, user_id, device, seq, member } } of marks) args.push(kind, user_id, device, String(seq), member ? '1' : '0')
    }
    try {
      const [fenced, ...answer] = await marksScript(redis, callKeys, args) as number[]
      if (fenced === 1) throw new LogFault('fenced', `partition ${partition} is fenced`)
      let at = 0
      for (const [roomId, marks] of call) at = tell(roomId, marks, answer, at)
    } catch (error) {
      for (const { answers } of call.flatMap(([, marks]) => marks)) for (const { reject } of answers) reject(faultOf(error))
    }
  }

  /** Answers those who moved marks of a room, and tells the others. The room's answer begins at `at`; returns where it ends. */
  function tell (roomId: string, marks: readonly Waiting[], answer: readonly number[], at: number): number {
    const news: RoomMarks = { read: {}, delivered: {} }
    for (const { mark, answers } of marks) {
      const { kind, user_id, connection } = mark
      const moved = answer[at++] === 1
      const seq = answer[at++]!
      const newest = answer[at++]!
      for (const { resolve } of answers) resolve(seq)
      if (!moved) continue
      if (newest === seq) news[kind][user_id] = newest // another device of theirs may be further
      if (kind !== 'read') continue
      publisher.toUser(user_id, { type: 'frame', frame: marksFrame(roomId, { read: { [user_id]: seq } }), except: connection })
      onRead(mark, seq)
    }
    if (Object.keys(news.read).length + Object.keys(news.delivered).length > 0) publisher.toRoom(roomId, marksFrame(roomId, news))
    return at
  }

  async function read (roomId: string): Promise<RoomMarks | undefined> {
    const hash = await redis.hgetall(peopleKeys.roomMarks(roomId)).catch((error: unknown) => { throw faultOf(error) })
    const marks: RoomMarks = { read: {}, delivered: {} }
    for (const [field, seq] of Object.entries(hash)) {
      const [kind, user, device] = field.split(':', 3)
      if (device === undefined) marks[kind as Mark['kind']][user!] = Number(seq)
    }
    return Object.keys(hash).length === 0 ? undefined : marks
  }

  async function kept (roomIds: readonly string[], field: string): Promise<Map<string, number>> {
    const found = await Promise.all(roomIds.map(async roomId => await redis.hget(peopleKeys.roomMarks(roomId), field))) // written together: one round trip
      .catch((error: unknown) => { throw faultOf(error) })
    return new Map(found.flatMap((seq, i) => seq === null ? [] : [[roomIds[i]!, Number(seq)]]))
  }

  return {
    async move (mark) {
      if (count >= WAITING_MAX) throw new LogFault('overloaded', 'too many marks wait to be written')
      return await new Promise((resolve, reject) => {
        count += 1
        let ofRoom = waiting.get(mark.room_id)
        if (ofRoom === undefined) waiting.set(mark.room_id, ofRoom = new Map())
        const key = `${mark.kind} ${mark.user_id} ${mark.device} ${mark.connection ?? ''}`
        const before = ofRoom.get(key)
        if (before === undefined) ofRoom.set(key, { mark, answers: [{ resolve, reject }] })
        else {
          before.answers.push({ resolve, reject })
          if (mark.seq > before.mark.seq) before.mark = mark
        }
        timer ??= setTimeout(() => { void flush() }, FLUSH_MS)
      })
    },

    async of (roomId) {
      const known = fresh.get(roomId)
      if (known !== undefined && clock() - known.at < READ_FRESH_MS) return await known.marks
      const marks = line.enter(async () => await read(roomId))
      if (marks === undefined) return undefined
      if (fresh.size >= READ_FRESH_ROOMS_MAX) fresh.clear()
      fresh.set(roomId, { at: clock(), marks })
      marks.catch(() => { fresh.delete(roomId) })
      return await marks
    },

    readBy: async (roomIds, userId) => await kept(roomIds, `read:${userId}`),
    deliveredTo: async (roomIds, userId, device) => await kept(roomIds, `delivered:${userId}:${device}`),

    stop: flush,
  }
}

type Call = Array<[roomId: string, marks: Waiting[]]>

/** Deals marks to calls of at most MARKS_PER_CALL. */
function callsOf (rooms: ReadonlyArray<[string, Map<string, Waiting>]>): Call[] {
  const calls: Call[] = []
  let size = 0
  for (const [roomId, ofRoom] of rooms) {
    const marks = [...ofRoom.values()]
    for (let i = 0; i < marks.length; i += MARKS_PER_CALL) {
      const some = marks.slice(i, i + MARKS_PER_CALL)
      if (calls.length === 0 || size + some.length > MARKS_PER_CALL) {
        calls.push([])
        size = 0
      }
      calls.at(-1)!.push([roomId, some])
      size += some.length
    }
  }
  return calls
}
