/**
 * Connections to Redis, set up as REDIS.md measured: an appending client that fails fast and never re-sends by itself, and a
 * subscriber of its own. Nothing is queued while Redis is away, and no command outlives its time limit; both clients
 * reconnect by themselves, for ever, with jitter.
 */
import { readFileSync } from 'node:fs'
import { hash } from 'node:crypto'
import { Redis, type RedisOptions } from 'ioredis'
import type { Logger } from 'pino'
import { activeSpan, childOf, endSpan, isTracing } from '../telemetry/tracing.ts'
import { LogFault } from './log.ts'

export type { Redis } from 'ioredis'

const COMMAND_MS = 1500
const SOCKET_MS = 2000
const CONNECT_MS = 1000
const LOADING_MS = 250
const OLDEST_REDIS = [7, 0]

/** What a person must change before Millrace can start; the message is one line. */
export class RedisUnfit extends Error {
  override name = 'RedisUnfit'
}

const retryStrategy = (attempt: number): number => Math.min(50 * 2 ** Math.min(attempt, 5), 1000) * (0.5 + Math.random() / 2)

function open (url: string, name: string, log: Logger, more: RedisOptions): Redis {
  const client = new Redis(url, {
    connectionName: `millrace-${name}`,
    protocol: 2, // replies as REDIS.md measured them; RESP3 brings nothing that is used here
    autoResendUnfulfilledCommands: false, // a lost reply means "outcome unknown": only the caller may repeat, with its key
    autoResubscribe: false, // one command per channel; the tail does it in batches
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    connectTimeout: CONNECT_MS,
    keepAlive: 5000,
    lazyConnect: true,
    maxLoadingRetryTime: LOADING_MS, // not its 10 s: what a loading Redis guesses of its remaining time is whole seconds, often far too many
    retryStrategy,
    ...more,
  })
  if (isTracing()) traceCommands(client)
  let down = false
  client.on('error', (error: Error) => {
    if (!down) log.warn({ client: name, reason: error.message }, 'the connection to Redis failed; trying again')
    down = true
  })
  client.on('ready', () => {
    if (down) log.info({ client: name }, 'connected to Redis again')
    down = false
  })
  return client
}

/** Each command that is sent as part of a trace is a span, by its name alone: its arguments have content in them. */
function traceCommands (client: Redis): void {
  const send = client.sendCommand.bind(client)
  client.sendCommand = (command, stream) => {
    const parent = activeSpan()
    const span = parent === undefined ? undefined : childOf(parent, `redis ${command.name}`, { 'db.system.name': 'redis', 'db.operation.name': command.name })
    if (span !== undefined) (command.promise as Promise<unknown>).then(() => { endSpan(span) }, (error: Error) => { endSpan(span, error.name) })
    return send(command, stream)
  }
}

/** Opens the client for appends and reads. Resolves when it is ready; rejects with RedisUnfit if it never was within `waitMs`. */
export async function connectRedis (url: string, name: string, log: Logger, waitMs = 5000): Promise<Redis> {
  const client = open(url, name, log, { commandTimeout: COMMAND_MS, socketTimeout: SOCKET_MS })
  const deadline = Date.now() + waitMs
  let reason = 'no answer'
  client.on('error', (error: Error) => { reason = error.message })
  void client.connect().catch(() => {})
  while (client.status !== 'ready') {
    if (Date.now() > deadline || /WRONGPASS|NOAUTH|NOPERM/.test(reason)) {
      client.disconnect()
      throw new RedisUnfit(`Redis at ${redacted(url)} cannot be used: ${reason}. Start it, or correct REDIS_URL.`)
    }
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  const version = /redis_version:(\d+)\.(\d+)/.exec(await client.info('server'))
  const [major = 0, minor = 0] = (version ?? []).slice(1).map(Number)
  if (major < OLDEST_REDIS[0]! || (major === OLDEST_REDIS[0] && minor < OLDEST_REDIS[1]!)) {
    client.disconnect()
    throw new RedisUnfit(`Redis at ${redacted(url)} is version ${major}.${minor}; Millrace needs Redis 7.0 or Valkey 7.2, or newer.`)
  }
  return client
}

/** Opens a client for subscriptions; it connects on its own. It is PINGed by its owner: a half-open connection says nothing. */
export function connectSubscriber (url: string, name: string, log: Logger): Redis {
  const client = open(url, name, log, { enableReadyCheck: true })
  void client.connect().catch(() => {})
  return client
}

/** A URL without its password. */
export function redacted (url: string): string {
  try {
    const { protocol, host } = new URL(url)
    return `${protocol}//${host}`
  } catch {
    return 'the given URL'
  }
}

/** A Lua script, by its name in `lua/` or from elsewhere; run by its digest, sent whole when the server does not know it (yet). */
export function script (file: string | URL): (client: Redis, keys: readonly string[], args: readonly string[]) => Promise<unknown> {
  const source = readFileSync(file instanceof URL ? file : new URL(`lua/${file}.lua`, import.meta.url), 'utf8')
  const sha = hash('sha1', source, 'hex')
  return async (client, keys, args) => {
    try {
      return await client.evalsha(sha, keys.length, ...keys, ...args)
    } catch (error) {
      if (!/NOSCRIPT/.test((error as Error).message)) throw error
      return await client.eval(source, keys.length, ...keys, ...args)
    }
  }
}

/** Turns what ioredis throws into a LogFault. Anything but an answer of Redis itself means that the outcome is unknown. */
export function faultOf (error: unknown): LogFault {
  if (error instanceof LogFault) return error
  const message = error instanceof Error ? error.message : String(error)
  return new LogFault(message.startsWith('OOM') ? 'overloaded' : 'unavailable', message, { cause: error })
}

/** True for errors that no waiting mends: a bug, not a fault. */
export function isBug (error: unknown): boolean {
  const message = error instanceof Error ? error.message : ''
  return /^(ERR (?!max number of clients|value is not)|WRONGTYPE|CROSSSLOT)|user_script/.test(message)
}
