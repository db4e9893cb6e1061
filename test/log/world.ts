// A room log over a real Redis, for the tests of the log, the tail and the commands. The fence is lifted by hand.
import { randomUUID } from 'node:crypto'
import { createCommands } from '../../src/commands/commands.ts'
import type { Request } from '../../src/commands/request.ts'
import { createFacts, type FactSources } from '../../src/commands/facts.ts'
import { createFirstResults } from '../../src/commands/first-results.ts'
import { START } from '../../src/domain/position.ts'
import { createKeys, type Keys } from '../../src/log/keys.ts'
import type { RoomLog, Unit } from '../../src/log/log.ts'
import { createRedisLog } from '../../src/log/redis-log.ts'
import { connectRedis, connectSubscriber, script, type Redis } from '../../src/log/redis.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'

export const logger = createLogger({ level: process.env.LOG_LEVEL ?? 'silent', role: 'test' })
const fence = script('fence')

interface Teardown { teardown: (fn: () => unknown) => unknown }

/** What a Redis server calls its history now. */
export async function replidOf (redis: Redis): Promise<string> {
  return /master_replid:(\w+)/.exec(await redis.info('replication'))![1]!
}

export async function liftFences (redis: Redis, keys: Keys): Promise<void> {
  const replid = await replidOf(redis)
  for (let p = 0; p < keys.partitions; p++) await fence(redis, [keys.epoch(p)], [replid])
}

export async function logWorld (t: Teardown, url: string, { partitions = 8, fenced = false } = {}) {
  const redis = await connectRedis(url, 'test', logger)
  t.teardown(() => { redis.disconnect() })
  const keys = createKeys(partitions)
  if (!fenced) await liftFences(redis, keys)
  const log = createRedisLog({ redis, keys, log: logger })
  return { redis, keys, log, metrics: createMetrics('test'), subscriber: () => connectSubscriber(url, 'test-subscriber', logger) }
}

/** A unit that appends one event without any rule of chat. */
export function unit (content: string, more: Partial<Unit> = {}): Unit {
  const author = more.author ?? 'ada'
  return {
    session: 's',
    author,
    key: randomUUID(),
    onceMs: 60_000,
    create: false,
    preconditions: [],
    events: [{ event_id: randomUUID(), v: 1, data: JSON.stringify({ type: 'message', content, user_id: author, timestamp: '2026-11-20T10:00:00.000Z' }) }],
    patches: [],
    ...more,
  }
}

/** A new room with its first event. */
export async function newRoom (log: RoomLog): Promise<string> {
  const room = randomUUID()
  await log.append(room, [unit('first', { create: true })])
  return room
}

/** Commands over a log without an archive; everybody exists, nobody blocks, and names are IDs, unless `sources` say otherwise. */
export function commandsOver (world: Awaited<ReturnType<typeof logWorld>>, log = world.log, sources: Partial<FactSources> = {}) {
  const direct: Array<readonly [peers: readonly string[], roomId: string, seq: number]> = []
  const noted: Array<[string, string, number]> = []
  const commands = createCommands({
    log,
    firstResults: createFirstResults({ log, archiveLook: async () => ({ checkpoint: START, hits: [] }) }),
    facts: createFacts({
      log,
      archivedAt: async () => [],
      emojiOn: async () => [],
      usersNamed: async names => [...names],
      existing: async ids => new Set(ids),
      blocked: async () => [],
      archived: async () => false,
      passwordFits: async (_room, password) => password === 'open sesame',
      redeemInvite: async ({ code }) => code === 'good' ? 'good' : 'unknown',
      slot: async () => 0,
      ...sources,
    }),
    onDirect: (...hint) => { direct.push(hint) },
    noteMembership: async (...note) => { noted.push(note) },
    onFenced: () => {},
    clock: Date.now,
    newId: randomUUID,
    queuedMax: 1000,
    roomsMax: 100,
    metrics: world.metrics,
    logger,
  })
  const run = async (user_id: string, command: Request['command'], more: Partial<Request> = {}) => await commands.execute({ command, user_id, session: `session of ${user_id}`, ...more })
  return { ...commands, run, noted, direct }
}
