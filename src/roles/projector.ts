/** The wiring of a projector: the projections, marks, inboxes, and trimming behind the archive. */
import { hostname } from 'node:os'
import { archive } from '../../projections/archive.ts'
import { startCursors } from '../../projections/cursors.ts'
import { startInbox } from '../../projections/inbox.ts'
import { PROJECTIONS } from '../../projections/live.ts'
import type { Projection } from '../../projections/projection.ts'
import { startProjector, type Projector, type ProjectorOptions } from '../../projections/projector.ts'
import { startTrimming } from '../../projections/trim.ts'
import { createCommands } from '../commands/commands.ts'
import { createFirstResults } from '../commands/first-results.ts'
import type { Readiness } from '../http/health.ts'
import { createOps } from '../http/server.ts'
import { uuidv7 } from '../ids.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { createBells } from '../log/bells.ts'
import { createGroups } from '../log/groups.ts'
import { createMarkStreams } from '../log/mark-streams.ts'
import { createPeopleKeys } from '../log/people-keys.ts'
import { createPublisher } from '../log/publisher.ts'
import { connectSubscriber } from '../log/redis.ts'
import { createSubscriptions } from '../log/subscriptions.ts'
import { readArchive } from '../store/archive.ts'
import { announce, troubleOf } from './announce.ts'
import { archiveLook } from './archive-look.ts'
import type { Shared } from './shared.ts'

const INBOXES_CACHED_MAX = 1000
/** Batches that a projection may have waiting of what the archive handed on to it. */
const BATCHES_AHEAD_MAX = 2

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
  const start = (projection: Projection, more: Partial<ProjectorOptions>): Projector => startProjector({
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
    ...more,
  })
  const leader = start(archive, {
    isAhead: () => followers.some(follower => follower.progress().fault === null && follower.held() >= BATCHES_AHEAD_MAX * config.PROJECTOR_BATCH_EVENTS),
    onApplied (rooms) {
      trimming.archived(rooms)
      for (const follower of followers) follower.offer(rooms)
    },
  })
  const others = PROJECTIONS.filter(projection => projection !== archive)
  const followers = others.filter(({ source }) => source === 'archive').map(projection => start(projection, { follows: leader }))
  projectors.push(leader, ...others.filter(({ source }) => source !== 'archive').map(projection => start(projection, {})), ...followers)
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
  await announce(life, shared, 'projector', async () => {
    const { ok, checks } = await ready()
    const projections = projectors.map(projector => {
      const { projection, partitions, lag_events, parked_rooms, fault } = projector.progress()
      return { projection, partitions, lag_events, parked_rooms, fault }
    })
    return { ready: ok, trouble: troubleOf(checks), projections }
  })
  const ops = createOps({ config, metrics, logger, ready })
  await life.open('health', async () => await ops.listen({ host: config.OPS_HOST, port: config.OPS_PORT }), async () => { await ops.close() })
}
