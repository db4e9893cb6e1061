/**
 * Which processes there are: each role of each process says every few seconds that it lives, and how it is. Judged by the clock of
 * Redis alone. Whoever falls silent is remembered for a day, so that it can be said since when; whoever stops says so.
 *
 * For people who look (`millrace status`, `/admin/status`): nothing in Millrace decides by it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../telemetry/logging.ts'
import { script, type Redis } from './redis.ts'

/** One tag: both lie in one slot. */
const SAID = '{nodes}:said'
const SEEN = '{nodes}:seen'
const EVERY_MS = 2000
/** Without a word for so long, a process counts as dead. */
export const SILENT_MS = 3 * EVERY_MS + 1000
/** In which a process must find out how it is: else it says that it could not. */
const STATE_MS = 1500
const LATE: NodeState = { ready: false, trouble: `it did not find out how it is within ${STATE_MS} ms` }
const REMEMBERED_MS = 86_400_000
/** Processes that are remembered. */
const NODES_MAX = 1000

const nodeScript = script('node')

export type NodeRole = 'gateway' | 'projector' | 'jobs'

/** How a projection fares in one projector, by its last sweep. */
export interface NodeProjection {
  readonly projection: string
  readonly partitions: number
  readonly lag_events: number
  readonly parked_rooms: number
  readonly fault: string | null
}

/** How a process is at the moment. */
export interface NodeState {
  readonly ready: boolean
  /** What is wrong, where something is: what was looked at, and what it said. */
  readonly trouble?: string | undefined
  /** Open sockets and event streams. */
  readonly connections?: number | undefined
  readonly url?: string | undefined
  readonly projections?: readonly NodeProjection[] | undefined
}

/** What a process says of itself. */
export interface NodeNote extends NodeState {
  readonly id: string
  readonly role: NodeRole
  readonly host: string
  readonly pid: number
  readonly version: string
  readonly started_at: string
  /** Its own clock when it said this, epoch milliseconds. */
  readonly clock_ms: number
  /** It stopped as asked. */
  readonly stopped?: true | undefined
}

export interface Node extends NodeNote {
  /** By the clock of Redis, epoch milliseconds. */
  readonly seen_ms: number
  readonly alive: boolean
}

export interface Announcement { readonly stop: () => Promise<void> }

/** Begins to say that this process lives. `state` is asked each time, and may fail: that is said too. */
export function startAnnouncing ({ redis, node, state, everyMs = EVERY_MS, clock, logger }: { redis: Redis, node: Pick<NodeNote, 'id' | 'role' | 'host' | 'pid' | 'version' | 'started_at'>, state: () => NodeState | Promise<NodeState>, everyMs?: number, clock: () => number, logger: Logger }): Announcement {
  const stopping = new AbortController()
  const done = run()

  async function say (now: NodeState, stopped?: true): Promise<void> {
    const note: NodeNote = { ...node, ...now, clock_ms: clock(), stopped }
    try {
      await nodeScript(redis, [SAID, SEEN], [node.id, JSON.stringify(note), String(REMEMBERED_MS), String(NODES_MAX)])
    } catch (error) {
      logger.debug({ reason: (error as Error).message }, 'this process could not be announced') // Redis is away: others say so loudly
    }
  }

  async function look (): Promise<NodeState> {
    const late = new AbortController()
    try {
      return await Promise.race([state(), sleep(STATE_MS, LATE, { signal: late.signal, ref: false })])
    } catch (error) {
      return { ready: false, trouble: (error as Error).message }
    } finally {
      late.abort()
    }
  }

  async function run (): Promise<void> {
    while (!stopping.signal.aborted) {
      await say(await look())
      await sleep(everyMs, undefined, { signal: stopping.signal }).catch(() => {})
    }
    await say({ ready: false }, true)
  }

  return {
    async stop () {
      stopping.abort()
      await done
    },
  }
}

/** All processes that are remembered, those heard last first; and the time of Redis, epoch milliseconds. Throws what Redis throws. */
export async function listNodes (redis: Redis): Promise<{ now_ms: number, nodes: Node[] }> {
  const [said, seen, [seconds, micros]] = await Promise.all([redis.hgetall(SAID), redis.zrevrange(SEEN, 0, NODES_MAX, 'WITHSCORES'), redis.time()])
  const now_ms = Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
  const nodes: Node[] = []
  for (let i = 0; i < seen.length; i += 2) {
    const note = noteOf(said[seen[i]!])
    const seen_ms = Number(seen[i + 1])
    if (note !== undefined) nodes.push({ ...note, seen_ms, alive: note.stopped !== true && now_ms - seen_ms <= SILENT_MS })
  }
  return { now_ms, nodes }
}

function noteOf (text: string | undefined): NodeNote | undefined {
  try {
    return text === undefined ? undefined : JSON.parse(text) as NodeNote
  } catch {
    return undefined // not of ours
  }
}
