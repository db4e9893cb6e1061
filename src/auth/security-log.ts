/**
 * The security log: who signed up, logged in, failed to, and whose sessions ended, for the owner of the account to read.
 *
 * Nobody waits for it: events are collected and written in batches. What Postgres does not take now is tried again; beyond a bound, and
 * when this process dies, events are lost, which is counted and said.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { isUnavailable, type Queryable } from '../store/pool.ts'
import { insertSecurityEvents, type SecurityEvent, type SecurityEventType } from '../store/security-events.ts'
import type { Logger } from '../telemetry/logging.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { addressOf, userAgentOf, type Device } from './device.ts'

/** Events that may wait to be written. */
const WAITING_MAX = 2000
const BATCH_EVENTS = 200
const RETRY_MS = 1000

export interface SecurityNote {
  readonly type: SecurityEventType
  readonly user_id?: string | undefined
  readonly session_id?: string | undefined
  readonly device: Device
  /** More facts; never a secret, nor anything that a person may have typed into the wrong field. */
  readonly detail?: Readonly<Record<string, unknown>>
}

export interface SecurityLog {
  note: (note: SecurityNote) => void
  /** Resolves when all that was noted is written or lost. */
  written: () => Promise<void>
  /** Writes what waits, once, and ends. */
  stop: () => Promise<void>
}

export function createSecurityLog ({ db, clock, newId, metrics, logger }: { db: Queryable, clock: () => number, newId: () => string, metrics: Metrics, logger: Logger }): SecurityLog {
  const stopping = new AbortController()
  let waiting: SecurityEvent[] = []
  let writing: Promise<void> | undefined

  const lose = (events: number, reason: string): void => {
    metrics.securityEventsLost.inc(events)
    logger.error({ events, reason }, 'security events are lost')
  }

  async function writeAll (): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, BATCH_EVENTS)
      try {
        await insertSecurityEvents(db, batch)
      } catch (error) {
        const { message } = error as Error
        if (isUnavailable(error) && !stopping.signal.aborted) {
          logger.warn({ events: waiting.length, reason: message }, 'security events cannot be written now; trying again')
          await sleep(RETRY_MS, undefined, { signal: stopping.signal }).catch(() => {})
          continue
        }
        lose(batch.length, message)
      }
      waiting = waiting.slice(batch.length)
    }
  }

  const write = (): void => {
    writing ??= Promise.resolve().then(writeAll).finally(() => {
      writing = undefined
      if (waiting.length > 0) write() // noted between the last look and now
    })
  }

  return {
    note ({ type, user_id, session_id, device, detail = {} }) {
      if (waiting.length >= WAITING_MAX) return lose(1, `${WAITING_MAX} wait to be written`)
      waiting.push({
        id: newId(),
        type,
        user_id: user_id ?? null,
        session_id: session_id ?? null,
        at: new Date(clock()),
        address: addressOf(device),
        user_agent: userAgentOf(device),
        detail,
      })
      write()
    },
    async written () { for (let work = writing; work !== undefined; work = writing) await work },
    async stop () {
      stopping.abort()
      await writing
    },
  }
}
