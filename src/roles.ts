/**
 * The wiring of each role, by hand, in one place: what a gateway, the jobs and a projector are made of, opened in order and
 * closed in reverse.
 */
import { hostname } from 'node:os'
import { archive } from '../projections/archive.ts'
import { startCursors } from '../projections/cursors.ts'
import { startInbox } from '../projections/inbox.ts'
import { PROJECTIONS } from '../projections/live.ts'
import { startProjector, type Projector } from '../projections/projector.ts'
import { createReconciler, startReconciling } from '../projections/reconcile.ts'
import { createRestorer } from '../projections/restore.ts'
import { startTrimming } from '../projections/trim.ts'
import { createAccounts } from './auth/accounts.ts'
import { createForeignTokens, type ForeignTokens } from './auth/foreign-tokens.ts'
import { createForeignUsers } from './auth/foreign-users.ts'
import { createPasswords } from './auth/passwords.ts'
import { createSecurityLog } from './auth/security-log.ts'
import { createSessions } from './auth/sessions.ts'
import { createTokens, readSigningKey } from './auth/tokens.ts'
import { createAccess } from './commands/access.ts'
import { createCommands } from './commands/commands.ts'
import { createCounts } from './commands/counts.ts'
import { createDirect } from './commands/direct.ts'
import { createFacts } from './commands/facts.ts'
import { createFirstResults, type ArchiveLook } from './commands/first-results.ts'
import { ensureInbox } from './commands/inbox.ts'
import { ensureLobby } from './commands/lobby.ts'
import type { Config } from './config.ts'
import { factSources } from './fact-sources.ts'
import { createGateway } from './gateway/gateway.ts'
import { GRACE_MS } from './gateway/presence.ts'
import { createUnreadFrames } from './gateway/unread.ts'
import type { Readiness } from './http/health.ts'
import { addRoutes, createOps, createServer } from './http/server.ts'
import { uuidv7 } from './ids.ts'
import { expireSecurityEvents } from './jobs/expire-security-events.ts'
import { expireSessions } from './jobs/expire-sessions.ts'
import { startJobs } from './jobs/jobs.ts'
import type { Lifecycle } from './lifecycle.ts'
import { readTrustProxy } from './limits/addresses.ts'
import { limitCommands } from './limits/commands.ts'
import { createLimits } from './limits/limits.ts'
import { limitLogIns } from './limits/log-ins.ts'
import { createBells } from './log/bells.ts'
import { startCanary } from './log/canary.ts'
import { withoutDeleted, type LogEvent } from './log/codec.ts'
import { createCold } from './log/cold.ts'
import { checkRedisPartitions } from './log/deployment.ts'
import { createFence } from './log/fence.ts'
import { createGroups } from './log/groups.ts'
import { createKeys } from './log/keys.ts'
import { createMarkStreams } from './log/mark-streams.ts'
import { createMarks } from './log/marks.ts'
import { createPeopleKeys } from './log/people-keys.ts'
import { createPresenceLeases } from './log/presence.ts'
import { createPublisher } from './log/publisher.ts'
import { createRecentRooms } from './log/recent-rooms.ts'
import { createRedisLog } from './log/redis-log.ts'
import { connectRedis, connectSubscriber } from './log/redis.ts'
import { startRevocations } from './log/revocations.ts'
import { createSignals } from './log/signals.ts'
import { createSubscriptions } from './log/subscriptions.ts'
import { createTail } from './log/tail.ts'
import { createTickets } from './log/tickets.ts'
import { archivedAt, findByClientIds, readArchive } from './store/archive.ts'
import { blockedAmong } from './store/contacts.ts'
import { audiencesOf } from './store/audience.ts'
import { checkPostgresPartitions } from './store/deployment.ts'
import { openStore, type Store } from './store/pool.ts'
import { asReader } from './store/reader.ts'
import { roomIdsOf } from './store/rooms.ts'
import { holeAfter } from './store/skipped.ts'
import { noteLastSeen } from './store/users.ts'
import { revokedSince } from './store/sessions.ts'
import { createLogger } from './telemetry/logging.ts'
import { createMetrics } from './telemetry/metrics.ts'
import { startTracing } from './telemetry/tracing.ts'

const CANARY_MS = 2000
const STATS_MS = 5000
const INBOXES_CACHED_MAX = 1000
/** How long after a session was revoked a token of it may be signed at the most, by a refresh that was under way. */
const SIGNED_LATE_MS = 60_000

/** What must be given to run a role; the message is one line. */
export class RoleUnfit extends Error {
  override name = 'RoleUnfit'
}

export type Shared = Awaited<ReturnType<typeof openShared>>

/** What every role stands on: Redis, Postgres, the log, and the fence that is kept lifted. */
export async function openShared (life: Lifecycle, config: Config, role: string) {
  const { REDIS_URL: redisUrl, DATABASE_URL: databaseUrl } = config
  if (redisUrl === undefined || databaseUrl === undefined) throw new RoleUnfit('REDIS_URL and DATABASE_URL must be set to run a role by itself; `npm start` brings both.')
  const logger = createLogger({ level: config.LOG_LEVEL, role })
  const metrics = createMetrics(role)
  await life.open('tracing', async () => await startTracing({ endpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT, role }), async tracing => { await tracing.stop() })
  const clock = Date.now
  const keys = createKeys(config.PARTITIONS)
  const store = await life.open('postgres', async () => await openStore({ url: databaseUrl, max: config.POSTGRES_CONNECTIONS_MAX, name: role, log: logger }), async store => { await store.close() })
  const redis = await life.open('redis', async () => await connectRedis(redisUrl, role, logger), redis => { redis.disconnect() })
  await checkRedisPartitions(redis, config.PARTITIONS)
  await checkPostgresPartitions(store, config.PARTITIONS)
  const log = createRedisLog({ redis, keys, log: logger })
  const cold = createCold({ redis, keys })
  const restorer = createRestorer({ store, cold, metrics, clock })
  const fence = createFence({ redis, keys })
  const reconciler = createReconciler({ store, log, cold, fence, replayed: PROJECTIONS, partitions: config.PARTITIONS, logger, metrics })
  const reconciling = await life.open('reconciling', () => startReconciling({ reconciler, logger }), async loop => { await loop.stop() })
  redis.on('ready', () => { reconciling.now() })
  const stats = setInterval(() => {
    metrics.redisUp.set(redis.status === 'ready' ? 1 : 0)
    for (const [state, value] of Object.entries(store.stats())) metrics.poolConnections.set({ state }, value)
  }, STATS_MS)
  await life.open('statistics', () => {}, () => { clearInterval(stats) })
  return { config, logger, metrics, clock, keys, store, redis, redisUrl, databaseUrl, log, cold, restorer, fence, reconciling }
}

/** Waits until no partition is fenced: a new deployment, or one whose Redis was restarted while nobody was there. */
async function untilLifted ({ fence, reconciling, logger }: Shared, signal: AbortSignal): Promise<void> {
  for (let said = false; !signal.aborted;) {
    const { size } = await fence.fencedPartitions()
    if (size === 0) return
    if (!said) logger.debug({ fenced: size }, 'waiting for fenced partitions to be reconciled')
    said = true
    reconciling.now()
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

/** HTTP and WebSocket. Returns the URL it listens on. */
export async function openGateway (life: Lifecycle, shared: Shared): Promise<string> {
  const { config, logger, metrics, clock, keys, store, redis, redisUrl, log, restorer, reconciling } = shared
  if (config.JWT_PRIVATE_KEY === undefined) throw new RoleUnfit('JWT_PRIVATE_KEY must be set to run a gateway by itself: an Ed25519 key, the same for all gateways; `npm start` makes one.')
  const signingKey = readSigningKey(config.JWT_PRIVATE_KEY)
  const app = await createServer({ signingKey, metrics, logger, trustProxy: readTrustProxy(config.TRUST_PROXY) })
  await untilLifted(shared, life.signal)

  const subscriptions = await life.open('subscriptions', () => createSubscriptions({ client: connectSubscriber(redisUrl, 'gateway-bells', logger), logger }), subscriptions => { subscriptions.close() })
  const archiveOf = async (roomId: string, after: number, limit: number) => await readArchive(asReader(store, [roomId]), roomId, after, limit)
  const readableArchive = async (roomId: string, after: number, limit: number): Promise<LogEvent[]> => {
    const deleted = await log.deletedAfter(roomId, after) // first: what leaves the set meanwhile, the archive has blanked
    return (await archiveOf(roomId, after, limit)).map(event => withoutDeleted(event, deleted))
  }
  const tail = await life.open('tail', () => createTail({ log, readArchive: readableArchive, subscriptions, keys, compareMs: config.HEADS_COMPARE_MS, metrics, logger }), async tail => { await tail.close() })
  const peopleKeys = createPeopleKeys(keys)
  const publisher = createPublisher({ redis, keys, peopleKeys, metrics })
  const signals = createSignals({ publisher, subscriptions, peopleKeys })
  const marks = await life.open('marks', () => createMarks({ redis, keys, peopleKeys, publisher, roomMax: config.MARKS_ROOM_MAX, onRead: mark => { unreadFrames.moved(mark) }, clock }), async marks => { await marks.stop() })
  const presenceLeases = createPresenceLeases({ redis, keys, peopleKeys, node: uuidv7(), leaseMs: config.PRESENCE_LEASE_MS, graceMs: GRACE_MS })
  const canary = await life.open('canary', () => startCanary({ redis, subscriptions, name: `${hostname()}-${process.pid}`, everyMs: CANARY_MS, clock }), canary => { canary.stop() })

  const keepMs = config.ACCESS_TOKEN_S * 1000 + SIGNED_LATE_MS
  const revocations = await life.open('revocations', async () => await startRevocations({ redis, subscriptions, revokedSince: async since => await revokedSince(store, since), keepMs, clock, metrics, logger }), async revocations => { await revocations.stop() })
  const tokens = createTokens({ jwt: app.jwt, key: signingKey, lifetimeS: config.ACCESS_TOKEN_S, clock, isRevoked: revocations.has, foreign: foreignTokens(shared) })
  const security = await life.open('security log', () => createSecurityLog({ db: store, clock, newId: uuidv7, metrics, logger }), async security => { await security.stop() })
  const recentRooms = createRecentRooms({ redis, clock })
  const limits = await life.open('limits', () => createLimits({ redis, config, metrics, logger }), limits => { limits.stop() })
  const access = createAccess({ log, coldHashes: restorer.hashes, clock })
  const counts = createCounts({ access, marks, log, store })
  const unreadFrames = await life.open('unread frames', () => createUnreadFrames({ counts, publisher, metrics, logger }), async frames => { await frames.stop() })
  const passwords = createPasswords()
  const commands = await life.open('commands', () => createCommands({
    log,
    firstResults: createFirstResults({ archiveLook: archiveLook(store), log }),
    facts: createFacts(factSources({ store, log, access, passwords, limits, clock })),
    async noteMembership (userId, room_id, seq) {
      await recentRooms.note(userId, room_id, seq) // first: whoever hears the signal looks there
      signals.send(userId, { type: 'membership', room_id, seq })
    },
    onDirect: (peers, room_id, seq) => { for (const peer of peers) signals.send(peer, { type: 'room', room_id, seq }) },
    onFenced: reconciling.now,
    restore: restorer.restore,
    clock,
    newId: uuidv7,
    queuedMax: config.COMMANDS_QUEUED_MAX,
    roomsMax: config.ROOMS_CACHED_MAX,
    metrics,
    logger,
  }), async commands => { await commands.drained() })
  const limited = limitCommands({ commands, limits }) // for users; what Millrace does itself is not limited
  const direct = createDirect({ commands: limited })
  const archived = async (roomId: string): Promise<boolean> => (await archiveOf(roomId, 0, 1)).length > 0
  const sessions = createSessions({ store, tokens, revocations, tickets: createTickets({ redis }), security, refreshLifetimeS: config.REFRESH_TOKEN_S, clock, newId: uuidv7, metrics, logger })
  const accounts = createAccounts({ store, passwords, sessions, security, guests: config.GUESTS === 'on', clock, newId: uuidv7, metrics })
  await ensureLobby({ commands, log, archived, logger })

  const fenced = await life.open('fence watch', () => watchFence(shared), watch => { watch.stop() })
  const ready = async (): Promise<Readiness> => {
    const checks: Record<string, string> = {
      log: canary.trouble() ?? 'ok',
      fence: fenced.count() === 0 ? 'ok' : `${fenced.count()} partitions are being reconciled`,
      stopping: life.signal.aborted ? 'this process is stopping' : 'ok',
    }
    return { ok: Object.values(checks).every(check => check === 'ok'), checks }
  }

  const makeInbox = async (userId: string) => await ensureInbox({ commands, log, archived }, userId)
  addRoutes(app, { config, commands: limited, direct, passwords, access, log, store, recentRooms, tokens, sessions, clock, accounts: limitLogIns({ accounts, limits }), limits, marks, counts, presenceLeases, openStream: opening => gateway.openStream(opening), ensureInbox: makeInbox, metrics, logger, newId: uuidv7, ready })
  const gateway = await createGateway(app, { config, access, blocked: async (one, other) => (await blockedAmong(store, one, [other])).length > 0, commands: limited, direct, ensureInbox: makeInbox, limits, tail, log, readArchive: archiveOf, archivedAt: async (roomId, seqs) => await archivedAt(store, roomId, seqs), holeAfter: async (roomId, seq) => await holeAfter(store, roomId, seq), recentRooms, roomsOf: async (userId, limit) => await roomIdsOf(store, userId, limit), verify: tokens.verify, redeem: sessions.redeem, revocations, signals, publisher, marks, presenceLeases, audiencesOf: async userIds => await audiencesOf(store, userIds), noteLastSeen: async entries => { await noteLastSeen(store, entries) }, newId: uuidv7, clock, metrics, logger })
  return await life.open('http', async () => await app.listen({ host: config.HOST, port: config.PORT }), async () => {
    await gateway.stop(config.DRAIN_MS / 2)
    await app.close()
  })
}

/** Who checks the tokens of another issuer, if there is one. */
function foreignTokens ({ config, store, clock, logger }: Shared): ForeignTokens | undefined {
  const { AUTH_JWKS_URL: url, AUTH_ISSUER: issuer, AUTH_AUDIENCE: audience, AUTH_CLAIM_USER: claimUser, AUTH_CLAIM_NAME: claimName } = config
  if (url === undefined) return undefined
  if (!/^https?:/.test(url) || !URL.canParse(url)) throw new RoleUnfit('AUTH_JWKS_URL must be an http(s):// URL.')
  return createForeignTokens({ jwksUrl: new URL(url), issuer, audience, claimUser, claimName, users: createForeignUsers({ store, newId: uuidv7, clock }), clock, logger })
}

/** Background jobs. */
export async function openJobs (life: Lifecycle, { config, databaseUrl, store, clock, logger }: Shared): Promise<void> {
  await life.open('jobs', async () => await startJobs({ url: databaseUrl, jobs: [expireSessions({ store, clock }), expireSecurityEvents({ store, clock })], logger, drainMs: config.DRAIN_MS / 2 }), async jobs => { await jobs.stop() })
}

/** Projections, each a loop of its own. Returns the URL of health and metrics if this process serves them itself. */
export async function openProjector (life: Lifecycle, shared: Shared): Promise<void> {
  const { config, logger, metrics, clock, keys, store, redis, redisUrl, log, cold, restorer, reconciling } = shared
  const subscriptions = await life.open('subscriptions', () => createSubscriptions({ client: connectSubscriber(redisUrl, 'projector-bells', logger), logger }), subscriptions => { subscriptions.close() })
  const bells = createBells({ subscriptions, keys })
  const groups = createGroups({ redis, keys })
  const owner = `${hostname()}-${process.pid}-${uuidv7().slice(-8)}`
  const projectors: Projector[] = []
  const trimming = await life.open('trimming', () => startTrimming({
    store,
    cold,
    groups,
    partitions: config.PARTITIONS,
    window: { events: config.HOT_EVENTS, eventsMax: config.HOT_EVENTS_MAX, ms: config.HOT_S * 1000 },
    evictMs: config.EVICT_S * 1000,
    archiveFault: () => projectors[0]?.progress().fault ?? null, // the archive's
    clock,
    metrics,
    logger,
  }), async trimming => { await trimming.stop() })
  for (const projection of PROJECTIONS) {
    projectors.push(startProjector({
      onApplied: projection === archive ? trimming.archived : undefined,
      projection,
      store,
      groups,
      log,
      keys,
      bells,
      owner,
      metrics,
      logger,
      batchEvents: config.PROJECTOR_BATCH_EVENTS,
      leaseMs: config.LEASE_MS,
      sweepMs: config.SWEEP_MS,
    }))
  }
  await life.open('projections', () => projectors, async projectors => { await Promise.all(projectors.map(async projector => { await projector.stop() })) })

  const commands = await life.open('commands of inboxes', () => createCommands({
    log,
    firstResults: createFirstResults({ archiveLook: archiveLook(store), log }),
    noteMembership: async () => {},
    onFenced: reconciling.now,
    restore: restorer.restore,
    clock,
    newId: uuidv7,
    queuedMax: config.COMMANDS_QUEUED_MAX,
    roomsMax: INBOXES_CACHED_MAX,
    metrics,
    logger,
  }), async commands => { await commands.drained() })
  const archived = async (roomId: string): Promise<boolean> => (await readArchive(store, roomId, 0, 1)).length > 0
  const peopleKeys = createPeopleKeys(keys)
  const cursors = await life.open('cursors', () => startCursors({ store, streams: createMarkStreams({ redis, peopleKeys }), partitions: config.PARTITIONS, owner, leaseMs: config.LEASE_MS, metrics, logger }), async cursors => { await cursors.stop() })
  const publisher = createPublisher({ redis, keys, peopleKeys, metrics })
  await life.open('inboxes', () => startInbox({ store, log, commands, archived, hint: (userId, seq) => { publisher.toUser(userId, { type: 'room', room_id: userId, seq }) }, logger }), async inbox => { await inbox.stop() })

  const ready = async (): Promise<Readiness> => {
    const checks = Object.fromEntries(projectors.map(projector => {
      const { projection, swept, fault } = projector.progress()
      return [projection, fault ?? (swept ? 'ok' : 'not all partitions were swept yet')]
    }))
    checks.cursors = cursors.fault() ?? 'ok'
    return { ok: Object.values(checks).every(check => check === 'ok'), checks }
  }
  const ops = createOps({ config, metrics, logger, ready })
  await life.open('health', async () => await ops.listen({ host: config.OPS_HOST, port: config.OPS_PORT }), async () => { await ops.close() })
}

/** The archive's half of the look for first results. */
export function archiveLook (store: Store): ArchiveLook {
  return async (roomId, sent) => {
    const { archived, hits } = await findByClientIds(store, roomId, sent)
    return { checkpoint: archived, hits }
  }
}

/** Knows, without asking at that moment, how many partitions are fenced. */
function watchFence ({ fence, metrics, reconciling }: Shared) {
  let count = 0
  const look = async (): Promise<void> => {
    try {
      count = (await fence.fencedPartitions()).size
      metrics.partitionsFenced.set(count)
      if (count > 0) reconciling.now()
    } catch {} // Redis is away: the canary says so
  }
  const timer = setInterval(() => { void look() }, CANARY_MS)
  return { count: () => count, stop: () => { clearInterval(timer) } }
}
