/**
 * The room log on Redis Streams (contract: `log.ts`).
 *
 * Appends that come in the same turn of the loop travel in one script call, the cheapest speed there is; on a cluster in one
 * per partition, because a call must stay in one slot. A call carries at most `UNITS_MAX` units. Whoever decides in `beforeCall`
 * waits while a call is under way, and its appends travel with all that came in meanwhile (ADR 3).
 */
import type { ChainableCommander } from 'ioredis'
import type { Logger } from 'pino'
import type { Metrics } from '../telemetry/metrics.ts'
import { childOfAll, endSpan, isTracing, within, type Span } from '../telemetry/tracing.ts'
import type { Position } from '../domain/position.ts'
import { chainOf } from './chain.ts'
import { withoutDeleted, type LogEvent } from './codec.ts'
import { entryText, logEventOf, type Entry } from './entries.ts'
import type { Keys } from './keys.ts'
import { LogFault, type Appended, type Durability, type Heads, type RoomHashes, type RoomLog, type Unit } from './log.ts'
import { faultOf, isBug, script, type Redis } from './redis.ts'

const UNITS_MAX = 512
const HEADS_PER_CALL = 200

const appendScript = script('append')
const headsScript = script('heads')
const roomScript = script('room')

interface Waiting {
  roomId: string
  units: readonly Unit[]
  resolve: (results: Appended[]) => void
  reject: (error: unknown) => void
}

export interface RedisLogOptions {
  redis: Redis
  keys: Keys
  log: Logger
  metrics?: Pick<Metrics, 'logAppendSeconds' | 'logAppendCommands'>
}

export function createRedisLog ({ redis, keys, log, metrics }: RedisLogOptions): RoomLog {
  const waiting = new Map<number, Waiting[]>()
  let server: Server = { durability: 'memory', cluster: true } // until it was asked, the least and the strictest
  // It may be another one, or set up differently, after a reconnect.
  const lookAtServer = (): void => { void askServer(redis).then(found => { server = found }, error => { log.warn({ reason: (error as Error).message }, 'cannot tell how Redis is set up') }) }
  redis.on('ready', lookAtServer)
  lookAtServer()

  let onAppended: ((roomId: string, events: LogEvent[]) => void) | undefined
  let underWay = 0
  let deciding: Array<() => void> = []
  // On a cluster calls go to several nodes, and none waits for another's.
  const mayCall = (): boolean => underWay === 0 || server.cluster

  const decideAll = (): void => {
    if (!mayCall()) return // it is called again with the answer
    const due = deciding
    deciding = []
    for (const decide of due) decide()
  }

  const flush = (): void => {
    const partitions = [...waiting]
    waiting.clear()
    for (const part of partsOf(partitions, server.cluster)) void send(part)
  }

  /** One call of the script; an answer that is lost counts as long as it was waited for. */
  async function call (part: Part): Promise<Array<'fenced' | string[][]>> {
    const { callKeys, args } = callOf(keys, part)
    const traces = isTracing() ? tracesOf(part) : []
    const span = traces.length === 0 ? undefined : childOfAll(traces, 'append.lua')
    const began = performance.now()
    underWay += 1
    try {
      const answers = await within(span, async () => await appendScript(redis, callKeys, args))
      endSpan(span)
      return answers as Array<'fenced' | string[][]>
    } catch (error) {
      endSpan(span, (error as Error).name)
      throw error
    } finally {
      underWay -= 1
      if (deciding.length > 0) setImmediate(decideAll) // ahead of what the answer is about to schedule: Redis works while it is written out
      metrics?.logAppendSeconds.observe((performance.now() - began) / 1000)
      metrics?.logAppendCommands.observe(part.reduce((sum, [, appends]) => sum + appends.reduce((units, append) => units + append.units.length, 0), 0))
    }
  }

  /** Whoever follows the room in this process need not wait for the bell. */
  function tell ({ roomId, units }: Waiting, results: readonly Appended[]): void {
    const events: LogEvent[] = []
    results.forEach((result, u) => {
      if (result.status !== 'appended') return
      let { seq, chain } = result
      for (const { event_id, v, data } of units[u]!.events) {
        if (seq > result.seq) chain = chainOf(chain, event_id)
        events.push({ seq, chain, event_id, v, data })
        seq += 1
      }
    })
    if (events.length > 0) onAppended?.(roomId, events)
  }

  async function send (part: Part): Promise<void> {
    try {
      const answers = await call(part)
      part.forEach(([partition, appends], p) => {
        const rooms = answers[p]
        appends.forEach((append, i) => {
          try {
            if (rooms === 'fenced') throw new LogFault('fenced', `partition ${partition} is fenced`)
            const results = append.units.map((unit, u) => resultOf(rooms?.[i]?.[u] ?? '', unit))
            append.resolve(results)
            tell(append, results)
          } catch (error) {
            if (!(error instanceof LogFault)) log.error({ err: error }, 'what was appended could not be handed on')
            append.reject(error)
          }
        })
      })
    } catch (error) {
      if (isBug(error)) log.error({ err: error }, 'the append script failed')
      for (const [, appends] of part) for (const append of appends) append.reject(faultOf(error))
    }
  }

  const askRoom = async (roomId: string, users: readonly string[]): Promise<unknown> =>
    await roomScript(redis, [keys.epoch(keys.partitionOf(roomId)), keys.meta(roomId), keys.members(roomId)], [...users])

  function hashesOf (roomId: string, users: readonly string[], answer: unknown): RoomHashes | undefined {
    const [fenced, meta, members] = answer as [number, string[], string[]]
    if (fenced === 1) throw new LogFault('fenced', `partition ${keys.partitionOf(roomId)} is fenced`)
    if (meta.length === 0) return undefined
    const fields = new Map<string, string>()
    for (let i = 0; i < meta.length; i += 2) fields.set(meta[i]!, meta[i + 1]!)
    return { meta: fields, members: new Map(users.map((user, i) => [user, members[i] ?? ''])) }
  }

  return {
    beforeCall (decide) {
      deciding.push(decide)
      if (deciding.length === 1 && mayCall()) setImmediate(decideAll)
    },

    onAppended (listener) { onAppended = listener },

    async append (roomId, units) {
      return await new Promise((resolve, reject) => {
        if (waiting.size === 0) process.nextTick(flush)
        const partition = keys.partitionOf(roomId)
        const appends = waiting.get(partition)
        if (appends === undefined) waiting.set(partition, [{ roomId, units, resolve, reject }])
        else appends.push({ roomId, units, resolve, reject })
      })
    },

    async read (roomId, after, limit) {
      // What deletes a message comes after it, so deletes beyond `after` are all that can matter. In one moment: between the two a
      // delete could be appended, or its mark go with a trim.
      const [entries, deleted] = await piped(redis.multi()
        .xrange(keys.log(roomId), `${after + 1}-0`, '+', 'COUNT', limit)
        .zrangebyscore(keys.deleted(roomId), `(${after}`, '+inf')) as [Entry[], string[]]
      const gone = new Set(deleted.map(Number))
      return entries.map(entry => withoutDeleted(logEventOf(entry), gone))
    },

    async at (roomId, seqs) {
      const found = new Map<number, LogEvent>()
      if (seqs.length === 0) return found
      const pipeline = redis.multi()
      for (const seq of seqs) pipeline.xrange(keys.log(roomId), `${seq}-0`, `${seq}-0`)
      const answers = await piped(pipeline.zrangebyscore(keys.deleted(roomId), `(${Math.min(...seqs)}`, '+inf'))
      const gone = new Set((answers.pop() as string[]).map(Number))
      for (const [entry] of answers as Entry[][]) {
        if (entry === undefined) continue
        const event = withoutDeleted(logEventOf(entry), gone)
        found.set(event.seq, event)
      }
      return found
    },

    async deletedAfter (roomId, after) {
      const deleted = await guarded(redis.zrangebyscore(keys.deleted(roomId), `(${after}`, '+inf'))
      return new Set(deleted.map(Number))
    },

    async areDeleted (messages) {
      const scores = await guarded(Promise.all(messages.map(async ({ room_id, seq }) => await redis.zscore(keys.deleted(room_id), String(seq))))) // written together
      return scores.map(score => score !== null)
    },

    async chainsAt (roomId, seqs) {
      const chains = new Map<number, string>()
      if (seqs.length === 0) return chains
      const pipeline = redis.pipeline()
      for (const seq of seqs) pipeline.xrange(keys.log(roomId), `${seq}-0`, `${seq}-0`)
      const answers = await piped(pipeline) as Entry[][]
      answers.forEach(([entry], i) => { if (entry !== undefined) chains.set(seqs[i]!, logEventOf(entry).chain) })
      return chains
    },

    async room (roomId, users) {
      return hashesOf(roomId, users, await guarded(askRoom(roomId, users)))
    },

    async rooms (roomIds, user) {
      const answers = await guarded(Promise.all(roomIds.map(async roomId => await askRoom(roomId, [user])))) // written together: one round trip
      const rooms = new Map<string, RoomHashes>()
      answers.forEach((answer, i) => {
        const hashes = hashesOf(roomIds[i]!, [user], answer)
        if (hashes !== undefined) rooms.set(roomIds[i]!, hashes)
      })
      return rooms
    },

    async once (roomId, author, key) {
      const first = await guarded(redis.get(keys.once(roomId, author, key)))
      return first === null ? undefined : placeOf(first)
    },

    async heads (roomIds) {
      const heads = new Map<string, Position>()
      let fenced = false
      await Promise.all(perPartition(keys, roomIds).map(async ([partition, rooms]) => {
        const answer = await guarded(headsScript(redis, [keys.epoch(partition), ...rooms.map(keys.meta)], [])) as Array<string | number>
        if (answer[0] === 1) fenced = true
        rooms.forEach((room, i) => {
          const seq = answer[1 + 2 * i]
          if (seq !== '') heads.set(room, { seq: Number(seq), chain: String(answer[2 + 2 * i]) })
        })
      }))
      return { fenced, heads } satisfies Heads
    },

    durability: () => server.durability,
  }
}

/** Answers of a pipeline; its first error is thrown. */
async function piped (pipeline: ChainableCommander): Promise<unknown[]> {
  const answers = await guarded(pipeline.exec()) ?? []
  return answers.map(([error, answer]) => {
    if (error !== null) throw faultOf(error)
    return answer
  })
}

async function guarded<T> (answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    throw faultOf(error)
  }
}

/** What one call carries: appends by partition. */
type Part = Array<[partition: number, appends: Waiting[]]>

/** Deals what waits to calls of at most UNITS_MAX units (a room's units stay together), on a cluster of one partition each. */
function * partsOf (waiting: Part, cluster: boolean): Generator<Part> {
  let part: Part = []
  let units = 0
  for (const [partition, appends] of waiting) {
    let open: Waiting[] | undefined
    for (const append of appends) {
      if (part.length > 0 && units + append.units.length > UNITS_MAX) {
        yield part
        part = []
        units = 0
        open = undefined
      }
      if (open === undefined) part.push([partition, open = []])
      open.push(append)
      units += append.units.length
    }
    if (cluster && part.length > 0) {
      yield part
      part = []
      units = 0
    }
  }
  if (part.length > 0) yield part
}

function tracesOf (part: Part): Span[] {
  return part.flatMap(([, appends]) => appends.flatMap(({ units }) => units.flatMap(({ trace }) => trace ?? [])))
}

/** KEYS and ARGV of `append.lua`. */
function callOf (keys: Keys, part: Part): { callKeys: string[], args: string[] } {
  const callKeys: string[] = []
  const args = [String(part.length)]
  for (const [partition, appends] of part) {
    callKeys.push(keys.epoch(partition), keys.count(partition), keys.active(partition))
    args.push(keys.partitionBell(partition), String(appends.length))
    for (const { roomId, units } of appends) {
      callKeys.push(keys.log(roomId), keys.meta(roomId), keys.members(roomId), keys.deleted(roomId))
      const lengthAt = args.push(roomId, keys.bell(roomId), String(units.length), '') - 1
      for (const unit of units) {
        callKeys.push(keys.once(roomId, unit.author, unit.key))
        args.push(`${unit.create ? 1 : 0} ${unit.onceMs} ${unit.preconditions.length} ${unit.events.length} ${unit.patches.length}`, unit.session)
        for (const [hash, field, value] of unit.preconditions) args.push(hash, field, value)
        for (const event of unit.events) args.push(entryText(event))
        for (const [op, hash, field, value] of unit.patches) args.push(`${op}\n${hash}\n${field}\n${value}`)
      }
      args[lengthAt] = String(args.length - 1 - lengthAt)
    }
  }
  return { callKeys, args }
}

function resultOf (answer: string, unit: Unit): Appended {
  const [kind, ...rest] = answer.split(' ')
  switch (kind) {
    case 'ok': return { status: 'appended', seq: Number(rest[0]), chain: rest[1]!, event_id: unit.events[0]!.event_id }
    case 'dup': return { status: 'duplicate', ...placeOf(rest.join(' ')) }
    case 'pre': return { status: 'precondition' }
    case 'held': return { status: 'held' }
    case 'none': return { status: 'missing' }
    case 'exists': return { status: 'exists' }
    case 'cold': return { status: 'cold' }
    default: throw new LogFault(/\bOOM\b/.test(answer) ? 'overloaded' : 'unavailable', `the log refused an append: ${answer}`)
  }
}

function placeOf (text: string): Position & { event_id: string } {
  const [seq, chain, event_id] = text.split(' ') as [string, string, string]
  return { seq: Number(seq), chain, event_id }
}

/** Rooms dealt to their partitions, at most HEADS_PER_CALL in a part. */
function perPartition (keys: Keys, roomIds: readonly string[]): Array<[number, string[]]> {
  const parts: Array<[number, string[]]> = []
  const open = new Map<number, string[]>()
  for (const roomId of roomIds) {
    const partition = keys.partitionOf(roomId)
    let part = open.get(partition)
    if (part === undefined || part.length >= HEADS_PER_CALL) {
      part = []
      open.set(partition, part)
      parts.push([partition, part])
    }
    part.push(roomId)
  }
  return parts
}

interface Server { readonly durability: Durability, readonly cluster: boolean }

async function askServer (redis: Redis): Promise<Server> {
  const cluster = /redis_mode:cluster/.test(await redis.info('server'))
  if (!/aof_enabled:1/.test(await redis.info('persistence'))) return { durability: 'memory', cluster }
  const setting = await redis.config('GET', 'appendfsync') as string[]
  return { durability: setting[1] === 'always' ? 'fsync' : 'memory', cluster }
}
