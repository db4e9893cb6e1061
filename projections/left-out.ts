/**
 * The rooms that a worker leaves out: parked, by itself or by others, until a sweep finds that somebody retries them. It parks what its
 * intake cannot go on with, and remembers how often a room was parked before [G10].
 */
import type { LogEvent } from '../src/log/codec.ts'
import type { Position } from '../src/domain/position.ts'
import type { Store } from '../src/store/pool.ts'
import type { Logger } from '../src/telemetry/logging.ts'
import type { Metrics } from '../src/telemetry/metrics.ts'
import { park } from './park.ts'
import type { Sweep } from './sweep.ts'

interface Deps {
  /** Name and version of the projection. */
  readonly group: string
  readonly store: Store
  readonly metrics: Metrics
  readonly logger: Logger
}

interface Place { readonly id: string, readonly partition: number }

export function createLeftOut ({ group, store, metrics, logger }: Deps) {
  const parked = new Map<string, { partition: number, attempts: number }>()
  const attemptsBefore = new Map<string, number>()

  return {
    has: (id: string): boolean => parked.has(id),
    get size (): number { return parked.size },
    /** How many times a room was parked before it was retried. */
    attempts: (id: string): number => attemptsBefore.get(id) ?? 0,

    /** It is parked now. */
    add (id: string, partition: number, attempts: number): void { parked.set(id, { partition, attempts }) },

    /** It was retried, and goes on. */
    goesOn (id: string): void { attemptsBefore.delete(id) },

    /** Parks a room behind `at`, unless another worker got further meanwhile. */
    async setAside ({ id, partition }: Place, at: Position, error_code: 'parted' | 'hole' | 'corrupt', event?: LogEvent): Promise<void> {
      const seq = at.seq + 1
      const error = {
        corrupt: 'the key of the log holds no stream',
        hole: `neither the log nor the archive has the event at seq ${seq}`,
        parted: `the log has another history than the one applied up to seq ${at.seq} (chain ${at.chain})`,
      }[error_code]
      const attempts = (attemptsBefore.get(id) ?? 0) + 1
      if (await park(store, { projection: group, room_id: id, partition, at, seq, event_id: event?.event_id ?? null, error, error_code, attempts })) {
        logger.error({ projection: group, room_id: id, seq, error_code }, `${error}; the room is parked`)
        if (error_code === 'parted') metrics.parted.inc({ where: 'projector' })
        parked.set(id, { partition, attempts })
      }
    },

    /** Takes in what a sweep of these partitions found; returns rooms that are left out from now on. */
    take (partitions: readonly number[], nowParked: Sweep['parked']): string[] {
      const swept = new Set(partitions)
      const still = new Set(nowParked.map(({ room_id }) => room_id))
      for (const [id, { partition, attempts }] of parked) {
        if (!swept.has(partition) || still.has(id)) continue
        parked.delete(id) // somebody retries it
        attemptsBefore.set(id, attempts)
      }
      const added = nowParked.filter(({ room_id }) => !parked.has(room_id))
      for (const { room_id, partition, attempts } of added) parked.set(room_id, { partition, attempts })
      return added.map(({ room_id }) => room_id)
    },

    lose (partition: number): void {
      for (const [id, room] of parked) if (room.partition === partition) parked.delete(id)
    },
  }
}
