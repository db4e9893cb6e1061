/**
 * What a message costs the server in a room of 10 and in a room of 10,000 members: append, archive and history, without
 * anybody listening. Counts are derived and nothing is written per member, so it should be the same. Millrace alone.
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { WebSocket } from 'ws'
import { createCommands } from '../../src/commands/commands.ts'
import { descendants } from '../../src/dev/processes.ts'
import { uuidv7 } from '../../src/ids.ts'
import { createKeys } from '../../src/log/keys.ts'
import { createRedisLog } from '../../src/log/redis-log.ts'
import { connectRedis } from '../../src/log/redis.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { createSign } from '../jwt.ts'
import type { ScenarioContext } from '../main.ts'
import { cpuOf } from '../proc.ts'
import { PARTITIONS, type Millrace } from '../processes.ts'
import { openLag } from '../projections.ts'
import { atMost, row, type Result } from '../results.ts'

/** Commands of one member under way. */
const WINDOW = 64

export async function members ({ stage, say, quick }: ScenarioContext): Promise<Pick<Result, 'title' | 'settings' | 'rows' | 'verdicts' | 'raw'>> {
  const settings = quick ? { small: 10, large: 200, messages: 500, rounds: 1 } : { small: 10, large: 10_000, messages: 20_000, rounds: 3 }
  const { small, large, messages, rounds } = settings
  const server = await stage.millrace()
  const projector = await server.startProjector()
  const lag = await openLag(server)
  const owner = uuidv7()
  const [few, many] = await seed(server, owner, [small, large])
  await lag.until([few!, many!], await lag.logged([few!, many!]), 120_000)
  say(`rooms of ${small} and of ${large} members are there`)

  const pids = (): number[] => [server.gateway.pid, server.redis.id.pid, projector.pid, server.postgres.id.pid, ...descendants(server.postgres.id.pid)]
  const cost = async (roomId: string): Promise<number> => {
    const before = cpuOf(pids())
    await talk(server, owner, roomId, messages)
    await lag.until([roomId], await lag.logged([roomId]), 60_000)
    return (cpuOf(pids()) - before) * 1e6 / messages
  }
  await cost(few!) // warm
  const costs: Array<{ few: number, many: number }> = []
  for (let i = 0; i < rounds; i++) {
    const round = i % 2 === 0 ? { few: await cost(few!), many: await cost(many!) } : { many: await cost(many!), few: await cost(few!) }
    costs.push(round)
    say(`${i + 1}/${rounds} ${round.few.toFixed(1)} µs a message in the room of ${small}, ${round.many.toFixed(1)} µs in the room of ${large}`)
  }
  await lag.close()
  await projector.stop()

  const part = `${messages} messages, projected into archive and history`
  return {
    title: `members: a message in a room of ${small} and of ${large}`,
    settings,
    rows: [
      row(part, `server CPU per message, ${small} members`, 'µs', costs.map(({ few }) => few)),
      row(part, `server CPU per message, ${large} members`, 'µs', costs.map(({ many }) => many)),
      row(part, 'the large room costs', '×', costs.map(({ few, many }) => many / few), undefined, atMost(1.5, '×')),
    ],
    verdicts: {}, // a message that was not acked, archived and projected would have ended the run
    raw: { costs },
  }
}

/** Rooms with so many members each, by the commands themselves. */
async function seed ({ redis: { url } }: Millrace, owner: string, sizes: readonly number[]): Promise<string[]> {
  const logger = createLogger({ level: 'silent', role: 'bench' })
  const redis = await connectRedis(url, 'bench', logger)
  const log = createRedisLog({ redis, keys: createKeys(PARTITIONS), log: logger })
  const commands = createCommands({
    log, firstResults: async () => new Map(), noteMembership: async () => {}, onFenced: () => {}, clock: Date.now, newId: uuidv7, queuedMax: 100_000, roomsMax: 100, metrics: createMetrics('bench'), logger,
  })
  const rooms = sizes.map(() => uuidv7())
  for (const [i, room_id] of rooms.entries()) {
    await commands.execute({ command: { type: 'create', room_id, name: `of ${sizes[i]}`, kind: 'public' }, user_id: owner, session: 'seed' })
    await Promise.all(Array.from({ length: sizes[i]! - 1 }, async () => await commands.execute({ command: { type: 'join', room_id }, user_id: uuidv7(), session: randomUUID() })))
  }
  redis.disconnect()
  return rooms
}

/** One member says so many things, WINDOW of them under way; resolves when all are acked. */
async function talk ({ target }: Millrace, userId: string, room_id: string, messages: number): Promise<void> {
  if (target.kind !== 'millrace') throw new TypeError('this is about Millrace')
  const ws = new WebSocket(`ws://${target.host}:${target.port}/ws?token=${createSign(target.privateKey)(userId, uuidv7())}`)
  await once(ws, 'open')
  let sent = 0
  let acked = 0
  await new Promise<void>((resolve, reject) => {
    const say = (): void => { if (sent < messages) ws.send(JSON.stringify({ type: 'message', ref: ++sent, client_id: randomUUID(), room_id, content: 'the quick brown fox jumps over the lazy dog' })) }
    ws.on('message', data => {
      const { type, code } = JSON.parse(String(data)) as { type: string, code?: string }
      if (type === 'error') return reject(new Error(`refused with ${code}`))
      if (type === 'welcome') for (let i = 0; i < WINDOW; i++) say()
      if (type !== 'ack') return
      acked += 1
      if (acked === messages) resolve()
      else say()
    })
    ws.on('close', code => { reject(new Error(`closed with ${code}`)) })
  })
  ws.terminate()
}
