/**
 * A backlog for projectors without the time that it takes to send it: rooms whose logs are written by the append script itself, as a
 * gateway has it called, many messages in a call. What is in Redis afterwards is what gateways would have left there: chains,
 * state, idempotency keys, `active` entries.
 */
import { randomUUID } from 'node:crypto'
import { patchOf } from '../src/commands/room-hashes.ts'
import { EVENT_VERSION, type EventBody } from '../src/domain/events.ts'
import { emptyRoom, evolve } from '../src/domain/room.ts'
import { uuidv7 } from '../src/ids.ts'
import { encodeEvent } from '../src/log/codec.ts'
import { createKeys } from '../src/log/keys.ts'
import type { RoomLog, Unit } from '../src/log/log.ts'
import { createRedisLog } from '../src/log/redis-log.ts'
import { connectRedis } from '../src/log/redis.ts'
import { createLogger } from '../src/telemetry/logging.ts'
import { contentOf } from './load/dialect.ts'
import { PARTITIONS, type Millrace } from './processes.ts'

const MEMBERS = 4
const UNITS_PER_CALL = 100
const ROOMS_AT_A_TIME = 16
/** As gateways ask for. */
const ONCE_MS = 600_000

/** Returns the rooms. @param events of each room: its making, the coming of its members, messages */
export async function seedLogs ({ redis: { url } }: Pick<Millrace, 'redis'>, { rooms, events }: { rooms: number, events: number }): Promise<string[]> {
  const logger = createLogger({ level: 'silent', role: 'bench' })
  const redis = await connectRedis(url, 'bench', logger)
  const log = createRedisLog({ redis, keys: createKeys(PARTITIONS), log: logger })
  const ids = Array.from({ length: rooms }, () => uuidv7())
  const waiting = ids.values()
  try {
    await Promise.all(Array.from({ length: ROOMS_AT_A_TIME }, async () => { for (const id of waiting) await writeRoom(log, id, events) }))
  } finally {
    redis.disconnect()
  }
  return ids
}

async function writeRoom (log: RoomLog, id: string, events: number): Promise<void> {
  const room = emptyRoom(id)
  const users = Array.from({ length: MEMBERS }, () => uuidv7())
  const unitOf = (user_id: string, body: EventBody): Unit => {
    const client_id = randomUUID()
    const event = { ...body, user_id, timestamp: new Date().toISOString(), client_id }
    const patches = evolve(room, event, room.seq + 1).map(effect => patchOf(effect, 0))
    return { session: user_id, author: user_id, key: client_id, onceMs: ONCE_MS, create: room.seq === 1, preconditions: [], events: [{ event_id: uuidv7(), v: EVENT_VERSION, data: encodeEvent(event), by: user_id }], patches }
  }
  const append = async (units: Unit[]): Promise<void> => {
    for (const { status } of await log.append(id, units)) if (status !== 'appended') throw new Error(`an append to ${id} was answered ${status}`)
  }
  const [owner = '', ...others] = users
  await append([unitOf(owner, { type: 'room', change: 'created', name: 'a backlog', kind: 'public', history: 'all' })])
  await append(others.map(user => unitOf(user, { type: 'join' })))
  while (room.seq < events) {
    const count = Math.min(UNITS_PER_CALL, events - room.seq)
    await append(Array.from({ length: count }, (_, i) => unitOf(users[i % MEMBERS]!, { type: 'message', content: contentOf(i % MEMBERS, room.seq + 1, Date.now() * 1000 % 1e11) })))
  }
}
