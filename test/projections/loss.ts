/**
 * What the tests of loss share: logs that are given another history, and what must hold of archive, state and read models once
 * all is put right.
 */
import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import { beginAnew } from '../../projections/checkpoint.ts'
import { PROJECTIONS } from '../../projections/live.ts'
import { groupOf } from '../../projections/projection.ts'
import { memberRecordOf } from '../../src/commands/room-hashes.ts'
import { chainOf } from '../../src/log/chain.ts'
import type { LogEvent } from '../../src/log/codec.ts'
import { START } from '../../src/domain/position.ts'
import { readArchive } from '../../src/store/archive.ts'
import { roomState } from '../../src/store/room-state.ts'
import { archive, caughtUp, history, wholeLog, type World } from './feed.ts'
import { equal, naiveHistory, storedHistory } from './naive.ts'

type Stand = Pick<World, 'redis' | 'keys' | 'log' | 'store' | 'project' | 'restorer'>

/** Gives a room another history from `seq` on, as a server that went its own way would have it: messages with these contents. */
export async function branch ({ redis, keys, log }: Stand, room: string, seq: number, contents: readonly string[]): Promise<LogEvent[]> {
  const { messages = '0' } = await redis.hgetall(keys.meta(room))
  const gone = (await wholeLog(log, room)).filter(event => event.seq >= seq)
  const [before = START] = (await log.read(room, seq - 2, 1)).filter(event => event.seq === seq - 1)
  // A stream takes no ID that it had: it is made again, without its groups, as they would be elsewhere too.
  const kept = (await wholeLog(log, room)).filter(event => event.seq < seq)
  await redis.del(keys.log(room))
  const events: LogEvent[] = [...kept]
  let { chain } = before
  for (const [i, content] of contents.entries()) {
    const event_id = randomUUID()
    chain = chainOf(chain, event_id)
    events.push({ seq: seq + i, event_id, chain, v: 1, data: JSON.stringify({ type: 'message', content, user_id: '00000000-0000-7000-8000-000000000009', timestamp: '2026-11-20T12:00:00.000Z' }) })
  }
  for (const event of events) await redis.xadd(keys.log(room), `${event.seq}-0`, 'id', event.event_id, 'chain', event.chain, 'v', event.v, 'data', event.data, ...(event.by === undefined ? [] : ['by', event.by]))
  const lost = gone.filter(({ data }) => data.startsWith('{"type":"message"')).length
  await redis.hset(keys.meta(room), 'seq', events.at(-1)!.seq, 'chain', chain, 'messages', Number(messages) - lost + contents.length)
  return events.slice(kept.length)
}

/** Remembers a room as Redis has it, in every key; what is returned puts it back. As a server that did not hear what came later. */
export async function remember ({ redis, keys }: Pick<Stand, 'redis' | 'keys'>, room: string): Promise<() => Promise<void>> {
  const names = [keys.log(room), keys.meta(room), keys.members(room), keys.deleted(room)]
  const dumps = await Promise.all(names.map(async name => await redis.dumpBuffer(name)))
  return async () => {
    for (const [i, name] of names.entries()) {
      const dump = dumps[i]!
      if (dump === null) await redis.del(name)
      else await redis.restore(name, 0, dump, 'REPLACE')
    }
  }
}

/** Takes a room out of Postgres as far as it lies beyond `seq`, as a backup of then has it, in which no other projection had got anywhere. */
export async function olderBackup ({ store }: Pick<Stand, 'store'>, room: string, seq: number): Promise<void> {
  const { chain } = (await readArchive(store, room, seq - 1, 1))[0]!
  await store.query('DELETE FROM events WHERE room_id = $1 AND seq > $2', [room, seq])
  await store.query('UPDATE room_state SET seq = $2, chain = $3 WHERE room_id = $1', [room, seq, chain])
  await store.query("UPDATE checkpoints SET seq = $2, chain = $3 WHERE room_id = $1 AND projection = 'archive_v1'", [room, seq, chain])
  for (const projection of PROJECTIONS) {
    if (projection.forget === undefined) continue
    await projection.forget(store, [room])
    await beginAnew(store, groupOf(projection), [room])
  }
}

/** The whole history of a room: archive, then stream. */
export async function wholeHistory ({ store, log }: Pick<Stand, 'store' | 'log'>, room: string): Promise<LogEvent[]> {
  const archived = await readArchive(store, room, 0, 1_000_000)
  return [...archived, ...await log.read(room, archived.at(-1)?.seq ?? 0, 1_000_000)]
}

/**
 * Projects what is to be projected, and proves that nothing is off: the archive is one chain up to the head of the log and has what the
 * stream has, the state that restoring needs is what Redis holds, and the read models are the history folded naïvely.
 */
export async function projectedAll (t: Test, world: Stand, rooms: readonly string[]): Promise<void> {
  const projectors = [archive, history].map(projection => world.project(projection))
  for (const group of ['archive_v1', 'history_v1']) await caughtUp(world, group, rooms, 300_000)
  await Promise.all(projectors.map(async projector => { await projector.stop() }))
  const logs = new Map<string, LogEvent[]>()
  for (const room of rooms) {
    await world.restorer.restore(room)
    const archived = await readArchive(world.store, room, 0, 1_000_000)
    logs.set(room, archived)
    const stream = await wholeLog(world.log, room)
    const first = stream[0]?.seq ?? 1
    equal(t, archived.slice(first - 1), stream, 'the archive has what the stream has')
    let chain = START.chain
    t.ok(archived.every(({ seq, event_id, chain: stored }, i) => seq === i + 1 && stored === (chain = chainOf(chain, event_id))), 'it is dense and one chain')
    const meta = await world.redis.hgetall(world.keys.meta(room))
    const members = await world.redis.hgetall(world.keys.members(room))
    const state = (await roomState(world.store, room))!
    const { seq, chain: head, ...fields } = meta
    const stored = [...state.meta].filter(([field]) => field in fields)
    t.same({ head: state.head, meta: Object.fromEntries(stored) }, { head: { seq: Number(seq), chain: head }, meta: fields })
    t.same(Object.fromEntries(state.members.map(member => [member.user_id, memberRecordOf(member)])), members, 'the records are those of Redis')
  }
  equal(t, await storedHistory(world.store), naiveHistory(logs), 'the history is the log folded')
  t.same((await world.store.query('SELECT * FROM parked_rooms')).rows, [], 'nothing is parked')
}
