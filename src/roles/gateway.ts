/** The wiring of a gateway, by hand: HTTP and WebSocket. */
import { hostname } from 'node:os'
import type { Server as TlsServer } from 'node:tls'
import { createAccounts } from '../auth/accounts.ts'
import { createForeignTokens, type ForeignTokens } from '../auth/foreign-tokens.ts'
import { createForeignUsers } from '../auth/foreign-users.ts'
import { createOperators } from '../auth/operators.ts'
import { createPasswords } from '../auth/passwords.ts'
import { createSecurityLog } from '../auth/security-log.ts'
import { createSessions } from '../auth/sessions.ts'
import { createTokens, readSigningKey } from '../auth/tokens.ts'
import { createAccess } from '../commands/access.ts'
import { createCommands } from '../commands/commands.ts'
import { createCounts } from '../commands/counts.ts'
import { createDirect } from '../commands/direct.ts'
import { createFacts } from '../commands/facts.ts'
import { createFirstResults } from '../commands/first-results.ts'
import { ensureInbox } from '../commands/inbox.ts'
import { ensureLobby } from '../commands/lobby.ts'
import { factSources } from '../fact-sources.ts'
import { createGateway } from '../gateway/gateway.ts'
import { GRACE_MS } from '../gateway/presence.ts'
import { createUnreadFrames } from '../gateway/unread.ts'
import type { Readiness } from '../http/health.ts'
import { addRoutes, createServer } from '../http/server.ts'
import { readKeyPair, tlsFiles, watchKeyPair } from '../http/tls.ts'
import { uuidv7 } from '../ids.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { readTrustProxy } from '../limits/addresses.ts'
import { limitCommands } from '../limits/commands.ts'
import { createLimits } from '../limits/limits.ts'
import { limitLogIns } from '../limits/log-ins.ts'
import { startCanary } from '../log/canary.ts'
import { withoutDeleted, type LogEvent } from '../log/codec.ts'
import { createMarks } from '../log/marks.ts'
import { createPeopleKeys } from '../log/people-keys.ts'
import { createPresenceLeases } from '../log/presence.ts'
import { createPublisher } from '../log/publisher.ts'
import { createRecentRooms } from '../log/recent-rooms.ts'
import { connectSubscriber } from '../log/redis.ts'
import { startRevocations } from '../log/revocations.ts'
import { createSignals } from '../log/signals.ts'
import { createSubscriptions } from '../log/subscriptions.ts'
import { createTail } from '../log/tail.ts'
import { createTickets } from '../log/tickets.ts'
import { archivedAt, readArchive } from '../store/archive.ts'
import { audiencesOf } from '../store/audience.ts'
import { blockedAmong } from '../store/contacts.ts'
import { asReader } from '../store/reader.ts'
import { roomIdsOf } from '../store/rooms.ts'
import { revokedSince } from '../store/sessions.ts'
import { holeAfter } from '../store/skipped.ts'
import { noteLastSeen } from '../store/users.ts'
import { announce, troubleOf } from './announce.ts'
import { archiveLook } from './archive-look.ts'
import { createParks, createStatus } from './operations.ts'
import { RoleUnfit, type Shared, untilLifted } from './shared.ts'

const CANARY_MS = 2000
/** How long after a session was revoked a token of it may be signed at the most, by a refresh that was under way. */
const SIGNED_LATE_MS = 60_000

/** HTTP and WebSocket. Returns the URL it listens on. */
export async function openGateway (life: Lifecycle, shared: Shared): Promise<string> {
  const { config, logger, metrics, clock, keys, store, redis, redisUrl, log, restorer, reconciling } = shared
  if (config.JWT_PRIVATE_KEY === undefined) throw new RoleUnfit('JWT_PRIVATE_KEY must be set to run a gateway by itself: an Ed25519 key, the same for all gateways; `npm start` makes one.')
  const signingKey = readSigningKey(config.JWT_PRIVATE_KEY)
  const files = tlsFiles(config)
  const tls = files === undefined ? undefined : readKeyPair(files)
  const app = await createServer({ signingKey, metrics, logger, trustProxy: readTrustProxy(config.TRUST_PROXY), tls })
  if (files !== undefined && tls !== undefined) await life.open('certificate', () => watchKeyPair({ files, pair: tls, serve: pair => { (app.server as unknown as TlsServer).setSecureContext(pair) }, logger, clock }), async watch => { await watch.stop() })
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
  const canary = await life.open('canary', () => startCanary({ redis, subscriptions, name: `${hostname()}-${process.pid}`, everyMs: CANARY_MS, clock, metrics }), canary => { canary.stop() })

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
  const operators = createOperators({ store, passwords, revocations, security, keepMs, clock, newId: uuidv7, logger })
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
  addRoutes(app, { config, commands: limited, direct, passwords, access, log, store, recentRooms, tokens, sessions, clock, accounts: limitLogIns({ accounts, limits }), limits, marks, counts, presenceLeases, openStream: opening => gateway.openStream(opening), ensureInbox: makeInbox, metrics, logger, newId: uuidv7, ready, operators, status: createStatus(shared), parks: createParks(shared) })
  const gateway = await createGateway(app, { config, access, blocked: async (one, other) => (await blockedAmong(store, one, [other])).length > 0, commands: limited, direct, ensureInbox: makeInbox, limits, tail, log, readArchive: archiveOf, archivedAt: async (roomId, seqs) => await archivedAt(store, roomId, seqs), holeAfter: async (roomId, seq) => await holeAfter(store, roomId, seq), recentRooms, roomsOf: async (userId, limit) => await roomIdsOf(store, userId, limit), verify: tokens.verify, redeem: sessions.redeem, revocations, signals, publisher, marks, presenceLeases, audiencesOf: async userIds => await audiencesOf(store, userIds), noteLastSeen: async entries => { await noteLastSeen(store, entries) }, newId: uuidv7, clock, metrics, logger })
  const url = await life.open('http', async () => await app.listen({ host: config.HOST, port: config.PORT }), async () => {
    await gateway.stop(config.DRAIN_MS / 2)
    await app.close()
  })
  await announce(life, shared, 'gateway', async () => {
    const { ok, checks } = await ready()
    const open = await Promise.all([metrics.connections.get(), metrics.streams.get()])
    return { ready: ok, trouble: troubleOf(checks), connections: open.reduce((sum, { values }) => sum + (values[0]?.value ?? 0), 0), url }
  })
  return url
}

/** Who checks the tokens of another issuer, if there is one. */
function foreignTokens ({ config, store, clock, logger }: Shared): ForeignTokens | undefined {
  const { AUTH_JWKS_URL: url, AUTH_ISSUER: issuer, AUTH_AUDIENCE: audience, AUTH_CLAIM_USER: claimUser, AUTH_CLAIM_NAME: claimName } = config
  if (url === undefined) return undefined
  if (!/^https?:/.test(url) || !URL.canParse(url)) throw new RoleUnfit('AUTH_JWKS_URL must be an http(s):// URL.')
  return createForeignTokens({ jwksUrl: new URL(url), issuer, audience, claimUser, claimName, users: createForeignUsers({ store, newId: uuidv7, clock }), clock, logger })
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
