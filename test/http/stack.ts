// A gateway's HTTP API over a private Redis and Postgres, for the tests of this folder. No projector runs: the read
// models have what a test lets them have, by `project`. `gateway()` is another gateway on the same stores.

import { generateKeyPairSync } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { Redis } from 'ioredis'
import { createApplier } from '../../projections/apply.ts'
import { openCheckpoints } from '../../projections/checkpoint.ts'
import { groupOf, type Projection } from '../../projections/projection.ts'
import { createAccounts } from '../../src/auth/accounts.ts'
import { createOperators } from '../../src/auth/operators.ts'
import { createPasswords } from '../../src/auth/passwords.ts'
import { createSecurityLog } from '../../src/auth/security-log.ts'
import { createSessions } from '../../src/auth/sessions.ts'
import { createTokens, readSigningKey, type TokensOptions } from '../../src/auth/tokens.ts'
import { createAccess } from '../../src/commands/access.ts'
import { createCommands } from '../../src/commands/commands.ts'
import { createCounts } from '../../src/commands/counts.ts'
import { createDirect } from '../../src/commands/direct.ts'
import { createFacts } from '../../src/commands/facts.ts'
import { createFirstResults } from '../../src/commands/first-results.ts'
import type { Config } from '../../src/config.ts'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { reject } from '../../src/domain/rejections.ts'
import { factSources } from '../../src/fact-sources.ts'
import { addRoutes, createServer, type RoutesDeps } from '../../src/http/server.ts'
import { uuidv7 } from '../../src/ids.ts'
import { UNLIMITED } from '../../src/limits/limits.ts'
import type { TrustProxy } from '../../src/limits/addresses.ts'
import { createCold } from '../../src/log/cold.ts'
import { createKeys } from '../../src/log/keys.ts'
import { createMarks } from '../../src/log/marks.ts'
import { createPeopleKeys } from '../../src/log/people-keys.ts'
import { createPresenceLeases } from '../../src/log/presence.ts'
import { createPublisher } from '../../src/log/publisher.ts'
import { createRecentRooms } from '../../src/log/recent-rooms.ts'
import { createRedisLog } from '../../src/log/redis-log.ts'
import { connectRedis, connectSubscriber } from '../../src/log/redis.ts'
import { startRevocations } from '../../src/log/revocations.ts'
import { createSubscriptions } from '../../src/log/subscriptions.ts'
import { createTickets } from '../../src/log/tickets.ts'
import { createParks, createStatus } from '../../src/roles/operations.ts'
import { findByClientIds } from '../../src/store/archive.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openStore } from '../../src/store/pool.ts'
import { revokedSince } from '../../src/store/sessions.ts'
import { createLogger, type Logger } from '../../src/telemetry/logging.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { http } from '../client.ts'
import { testServers } from '../dev/servers.ts'

const PARTITIONS = 8

/** A new signing key. */
export const signingKey = (): string => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

const SIGNING_KEY = readSigningKey(signingKey())

interface Teardown { teardown: (fn: () => Promise<void>) => unknown }

export async function testStack (t: Teardown, { clock = Date.now, level = 'silent', ...more }: { clock?: () => number, level?: string, requestMs?: number, guests?: boolean, foreign?: TokensOptions['foreign'], metricsFrom?: string, postgresArgs?: string[] } = {}) {
  const { redis: redisServer, postgres, redisUrl, databaseUrl } = await testServers(t, { postgresArgs: more.postgresArgs })
  const logger = createLogger({ level, role: 'test' })
  const store = await openStore({ url: databaseUrl, max: 5, name: 'test', log: logger })
  await migrate({ store, log: logger })
  const redis = await connectRedis(redisUrl, 'test', logger)
  const keys = createKeys(PARTITIONS)
  const peopleKeys = createPeopleKeys(keys)
  await openPartitions()
  t.teardown(async () => { await store.close(); redis.disconnect() })

  async function openPartitions (): Promise<void> {
    const direct = new Redis(redisUrl)
    const [, replid] = /master_replid:(\w+)/.exec(await direct.info('replication')) ?? []
    await Promise.all(Array.from({ length: PARTITIONS }, async (_, p) => await direct.set(keys.epoch(p), replid!)))
    direct.disconnect()
  }

  /** Lets a projection catch up with rooms, as the projector would. */
  async function project (projection: Projection, ...roomIds: string[]): Promise<void> {
    const group = groupOf(projection)
    const rooms = roomIds.map(id => ({ id, partition: keys.partitionOf(id) }))
    const checkpoints = await openCheckpoints(store, group, rooms)
    const work = await Promise.all(rooms.map(async ({ id, partition }) => {
      const from = checkpoints.get(id)!
      return { room_id: id, partition, from, entries: await log.read(id, from.seq, 10_000), attempts: 0 }
    }))
    const applier = createApplier({ projection, store, logger })
    for (const { status } of await applier.apply(work.filter(({ entries }) => entries.length > 0))) if (status !== 'applied') throw new Error(status)
  }

  const log = createRedisLog({ redis, keys, log: logger })

  async function gateway ({ change = deps => deps, gatewayLogger = logger, trustProxy }: { change?: (deps: RoutesDeps) => RoutesDeps, gatewayLogger?: Logger, trustProxy?: TrustProxy } = {}) {
    const metrics = createMetrics('gateway')
    const app = await createServer({ signingKey: SIGNING_KEY, metrics, logger: gatewayLogger, requestMs: more.requestMs, trustProxy })
    const recentRooms = createRecentRooms({ redis, clock })
    const access = createAccess({ log, clock })
    const passwords = createPasswords()
    const marks = createMarks({ redis, keys, peopleKeys, publisher: createPublisher({ redis, keys, peopleKeys, metrics }), roomMax: 500, clock })
    const commands = createCommands({
      facts: createFacts(factSources({ store, log, access, passwords, limits: UNLIMITED, clock })),
      log,
      clock,
      metrics,
      logger,
      newId: uuidv7,
      queuedMax: 1000,
      roomsMax: 100,
      onFenced: () => {},
      noteMembership: recentRooms.note,
      firstResults: createFirstResults({ log, archiveLook: async (roomId, sent) => { const { archived, hits } = await findByClientIds(store, roomId, sent); return { checkpoint: archived, hits } } }),
    })
    const subscriptions = createSubscriptions({ client: connectSubscriber(redisUrl, 'test-bells', logger), logger })
    const revocations = await startRevocations({ redis, subscriptions, revokedSince: async since => await revokedSince(store, since), keepMs: 900_000, compareMs: 500, clock, metrics, logger })
    const security = createSecurityLog({ db: store, clock, newId: uuidv7, metrics, logger })
    t.teardown(async () => {
      await app.close()
      await security.stop()
      await revocations.stop()
      subscriptions.close()
    })
    const tokens = createTokens({ jwt: app.jwt, key: SIGNING_KEY, lifetimeS: 900, clock, isRevoked: revocations.has, foreign: more.foreign })
    const sessions = createSessions({ store, tokens, revocations, tickets: createTickets({ redis }), security, refreshLifetimeS: 3600, clock, newId: uuidv7, metrics, logger })
    const accounts = createAccounts({ store, passwords, sessions, security, clock, newId: uuidv7, metrics, guests: more.guests })
    addRoutes(app, change({
      config: { METRICS_FROM: more.metricsFrom, REFRESH_TOKEN_S: 3600 },
      commands,
      direct: createDirect({ commands }),
      passwords,
      access,
      log,
      store,
      recentRooms,
      ensureInbox: async () => {},
      openStream: () => reject('overloaded', 'There is no gateway here'),
      tokens,
      accounts,
      sessions,
      clock,
      limits: UNLIMITED,
      marks,
      counts: createCounts({ access, marks, log, store }),
      presenceLeases: createPresenceLeases({ redis, keys, peopleKeys, node: uuidv7(), leaseMs: 25_000, graceMs: 2000 }),
      metrics,
      logger: gatewayLogger,
      newId: uuidv7,
      ready: async () => ({ ok: true, checks: { redis: 'ok', postgres: 'ok' } }),
      operators: createOperators({ store, passwords, revocations, security, keepMs: 900_000, clock, newId: uuidv7, logger }),
      status: createStatus({ config: { PARTITIONS } as Config, redis, store, redisUrl, databaseUrl, logger }),
      parks: createParks({ store, log, cold: createCold({ redis, keys }) }),
    }))
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const url = `http://127.0.0.1:${port}`
    return { app, url, port, ...http(url), metrics, log, recentRooms, commands, tokens, sessions, accounts, access, revocations, security }
  }

  const first = await gateway()
  await first.commands.execute({ user_id: '00000000-0000-7000-8000-000000000000', session: 'start', command: { type: 'create', room_id: LOBBY_ID, name: 'lobby', kind: 'lobby' } })
  return { ...first, store, redis, keys, redisServer, postgres, gateway, openPartitions, project }
}
