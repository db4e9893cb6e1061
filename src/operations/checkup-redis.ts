/** The settings of Redis that matter to a log: nothing may be evicted, everything must be on disk, and replicas must not fork it. */
import { statfs } from 'node:fs/promises'
import { redisInfo, redisSettings, serverOf } from '../log/overview.ts'
import type { Redis } from '../log/redis.ts'
import { check, clockCheck, diskCheck, MB, sizeOf, type Check } from './checkup.ts'

const SETTINGS = ['maxmemory', 'maxmemory-policy', 'appendonly', 'appendfsync', 'timeout', 'client-output-buffer-limit', 'min-replicas-to-write', 'min-replicas-max-lag', 'maxclients', 'dir', 'stream-node-max-entries']
/** Share of the machine's memory that Redis is advised to take: the rest is for the copy that rewriting the AOF makes, and the system. */
const MEMORY_SHARE = 0.6
/** Bells of a busy moment that a gateway has not read yet. */
const PUBSUB_HARD_MIN = 32 * MB
const PUBSUB_SOFT_MIN = 8 * MB
const IDLE_S_MIN = 60
const CLIENTS_SHARE_MAX = 0.8

interface Given {
  readonly info: ReadonlyMap<string, string>
  /** Undefined where they may not be asked. */
  readonly settings: ReadonlyMap<string, string> | undefined
}

/** Throws LogFault. */
export async function checkRedis (redis: Redis, url: string): Promise<Check[]> {
  const [info, settings] = [await redisInfo(redis), await redisSettings(redis, SETTINGS)]
  const given = { info, settings }
  const asked = Date.now()
  const [seconds, micros] = await redis.time()
  const halfMs = (Date.now() - asked) / 2
  const clock = clockCheck('redis', 'clock', Number(seconds) * 1000 + Number(micros) / 1000 - (asked + halfMs), halfMs)
  return [version(info), ...memory(given), ...durability(given), ...replication(given), ...clients(given), clock, ...await disk(given, url)]
}

function version (info: Given['info']): Check {
  const found = serverOf(info)
  const [major = 0, minor = 0] = found.split(' ')[1]!.split('.').map(Number)
  const well = found.startsWith('valkey') ? major > 7 || (major === 7 && minor >= 2) : major >= 7
  return check('redis', 'version', found, well, { why: 'Millrace needs Redis 7.0 or Valkey 7.2, or newer: sharded pub/sub and flags of scripts', change: 'apt-get install redis-server   # from packages.redis.io, or valkey-server' })
}

/** For settings that this user of Redis may not ask. */
const unseen = (name: string): Check => ({ part: 'redis', name, found: 'may not be asked (CONFIG GET is not allowed)', verdict: 'unknown' })

function memory ({ info, settings }: Given): Check[] {
  const machine = Number(info.get('total_system_memory') ?? 0)
  const policy = info.get('maxmemory_policy') ?? settings?.get('maxmemory-policy') ?? '?'
  const limit = Number(info.get('maxmemory') ?? settings?.get('maxmemory') ?? 0)
  const advised = `maxmemory ${Math.max(100, Math.floor(machine * MEMORY_SHARE / MB))}mb`
  return [
    check('redis', 'maxmemory-policy', policy, policy === 'noeviction', { why: 'any other policy throws away rooms, positions and who was banned, without a word', change: 'maxmemory-policy noeviction' }),
    limit === 0
      ? check('redis', 'maxmemory', `none, on a machine with ${sizeOf(machine)}`, false, { verdict: 'better', why: 'without a limit the system kills Redis when memory is short; with one, appends are refused as `overloaded` and nothing is lost', change: advised })
      : check('redis', 'maxmemory', sizeOf(limit), machine === 0 || limit < machine, { why: `the machine has ${sizeOf(machine)}: the system kills Redis before it comes to its limit`, change: advised }),
  ]
}

function durability ({ info, settings }: Given): Check[] {
  const aof = info.get('aof_enabled') === '1'
  const fsync = settings?.get('appendfsync')
  const checks = [check('redis', 'appendonly', aof ? 'yes' : 'no', aof, { why: 'what was acknowledged is lost when Redis ends', change: 'appendonly yes' })]
  if (!aof) return checks
  if (fsync === undefined) checks.push(unseen('appendfsync'))
  else {
    checks.push(check('redis', 'appendfsync', fsync, fsync === 'always', fsync === 'no'
      ? { why: 'the system decides when to write: some 30 s of acknowledged messages are lost with the machine', change: 'appendfsync always' }
      : { verdict: 'better', why: 'up to a second of acknowledged messages is lost with the machine; acks say `memory`', change: 'appendfsync always' }))
  }
  const writes = info.get('aof_last_write_status') ?? 'ok'
  checks.push(check('redis', 'append-only file', `last write: ${writes}`, writes === 'ok', { why: 'Redis cannot write to its disk, and refuses appends', change: 'df -h   # the disk of its dir is full or broken' }))
  return checks
}

function replication ({ info, settings }: Given): Check[] {
  const role = info.get('role') ?? '?'
  if (role !== 'master') return [check('redis', 'role', role, false, { why: 'a replica takes no appends', change: 'REDIS_URL=redis://…   # of the master' })]
  const replicas = Number(info.get('connected_slaves') ?? 0)
  const found = [check('redis', 'replicas', `${replicas} connected`, replicas > 0, { verdict: 'better', why: 'with this machine Redis is lost until it is back, or restored from Postgres (millrace recover)', change: `replicaof ${info.get('tcp_port') === undefined ? 'HOST PORT' : `HOST ${info.get('tcp_port')}`}   # in the configuration of a second server` })]
  const least = settings?.get('min-replicas-to-write')
  if (least === undefined) return settings === undefined ? [...found, unseen('min-replicas-to-write')] : found
  const needed = Number(least)
  if (needed > replicas) found.push(check('redis', 'min-replicas-to-write', least, false, { why: `only ${replicas} replicas are connected: every append is refused`, change: `min-replicas-to-write ${replicas}` }))
  else if (replicas > 0) found.push(check('redis', 'min-replicas-to-write', least, needed > 0, { verdict: 'better', why: 'a master that is cut off goes on taking appends, which are lost when a replica is promoted', change: 'min-replicas-to-write 1' }))
  else found.push({ part: 'redis', name: 'min-replicas-to-write', found: least, verdict: 'well' })
  return found
}

function clients ({ info, settings }: Given): Check[] {
  const [now, max] = [Number(info.get('connected_clients') ?? 0), Number(info.get('maxclients') ?? 0)]
  const checks = max === 0 ? [] : [check('redis', 'maxclients', `${now} of ${max}`, now <= CLIENTS_SHARE_MAX * max, { why: 'beyond it, new gateways and projectors are turned away', change: `maxclients ${2 * max}` })]
  if (settings === undefined) return [...checks, unseen('timeout'), unseen('client-output-buffer-limit')]
  const idle = Number(settings.get('timeout') ?? 0)
  checks.push(check('redis', 'timeout', idle === 0 ? '0: idle connections stay' : `${idle} s`, idle === 0 || idle >= IDLE_S_MIN, { why: 'connections that wait for work are cut, and opened again each time', change: 'timeout 0' }))
  const [, hard = '0', soft = '0', seconds = '0'] = /pubsub (\d+) (\d+) (\d+)/.exec(settings.get('client-output-buffer-limit') ?? '') ?? []
  const well = (limit: string, least: number): boolean => limit === '0' || Number(limit) >= least
  checks.push(check('redis', 'client-output-buffer-limit', `pubsub ${hard} ${soft} ${seconds}`, well(hard, PUBSUB_HARD_MIN) && well(soft, PUBSUB_SOFT_MIN), { why: 'in a busy moment gateways are cut from their bells, and read everything from the log instead', change: 'client-output-buffer-limit pubsub 32mb 8mb 60' }))
  return checks
}

/** Only where Redis is on this host and its directory can be seen. */
async function disk ({ settings }: Given, url: string): Promise<Check[]> {
  const dir = settings?.get('dir')
  if (dir === undefined || !isHere(url)) return []
  try {
    const { bavail, blocks, bsize } = await statfs(dir)
    return [diskCheck('redis', dir, { free: bavail * bsize, size: blocks * bsize })]
  } catch {
    return [] // it is of another account, or in a container
  }
}

/** Whether a URL names this host. */
export function isHere (url: string): boolean {
  const { hostname = '' } = URL.parse(url) ?? {}
  return ['127.0.0.1', 'localhost', '[::1]'].includes(hostname)
}
