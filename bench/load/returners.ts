/**
 * What the load client can do with clients that come back: gather them in rooms, let them leave and return at once, cut some, lose a
 * server under them, have messages sent meanwhile; and tell how long it took, what was missing and what came twice.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { START } from '../../src/domain/position.ts'
import { Connection } from './connection.ts'
import type { Dialect, Sink } from './dialect.ts'
import type { createEvidence } from './evidence.ts'
import { latencyOf, microseconds, parallel, type Latency } from './phases.ts'
import { ADDRESSES, type Return, type Returner, type Server, type SharedRoom } from './returner.ts'
import { MillraceReturner } from './returner-millrace.ts'
import { SocketIoReturner } from './returner-socket-io.ts'
import { Speaker } from './speaker.ts'

const CONNECTING_MAX = 64
/** How often it is looked at whether something has come about. */
const LOOK_MS = 10
/** A peer without positions has given what it had when nothing more came for so long. */
const QUIET_MS = 1500
/** Indexes of speakers lie above those of clients. */
const SPEAKERS_FROM = 20_000

export interface GatherRequest {
  rooms: number
  perRoom: number
  /** Connections that send to the rooms and make them; 0: the clients send. */
  speakers: number
  /** Servers that clients may go to; all prefer the first, or they are dealt over all. */
  servers: Server[]
  dealt: boolean
  /** Which of them the speakers use. */
  speakersAt: number
  jitterMs: number
  sampleRooms: number
  sampleSockets: number
  tallies: boolean
  verifies: boolean
}

export interface AdoptRequest {
  /** Rooms that there are, each with somebody who may read it. */
  rooms: Array<{ id: string, user_id: string }>
  servers: Server[]
  sampleRooms: number
  verifies: boolean
}

export interface Returned {
  /** From the loss to live, of each client that came back. */
  ms: Latency
  /** From `since` until the last was live. */
  all_ms: number
  clients: number
  tries: number
  refused: number
  caught_up: number
  from_archive: number
  losses: Record<string, number>
}

export interface Tally {
  clients: number
  /** Clients that were not live at the end. */
  away: number
  sent: number
  /** Messages that were acked, or received by anybody. */
  taken: number
  /** Of the taken, to each client of the room. */
  due: number
  missing: number
  twice: number
  /** Sent, not acked, and not sent again. */
  never_acked: number
  recovered: number
  unrecovered: number
  cuts: number
  /** Of those that were cut, and of those that a server sent away. */
  cut: Returned
  sent_away: Returned
}

export interface ReturnRequests {
  /** Makes rooms, and clients that are all live in them when it answers. */
  gather: (request: GatherRequest) => Promise<{ clients: number, ms: number }>
  /** Makes a client for each of these rooms, which is at its beginning and not connected. */
  adopt: (request: AdoptRequest) => Promise<void>
  /** All leave, until they are recalled. */
  rest: () => Promise<void>
  /** The clients are at the beginning again. */
  startOver: () => Promise<void>
  /** All connect; when every upgrade is done, all say hello at once. Answers when all are live. */
  recall: () => Promise<{ ms: Latency, all_ms: number, events: number, from_archive: number }>
  /** The speakers send so many messages to each room. */
  fill: (request: { perRoom: number }) => Promise<{ sent: number }>
  /** Speakers, or clients where there are none, send so many messages per second, until `hush`. */
  talk: (request: { rate: number }) => Promise<void>
  hush: () => Promise<void>
  /** For so long, this share of the clients loses its connection every second. */
  cutting: (request: { share: number, seconds: number }) => Promise<void>
  /** Waits until all are live, at most so long. @param since epoch ms @param everyone each of them will have lost its connection before */
  allLive: (request: { since: number, everyone: boolean, timeoutMs: number }) => Promise<Returned>
  /** Waits until everything sent is acked and everybody has it, at most so long. */
  settle: (request: { timeoutMs: number }) => Promise<{ ms: number }>
  tally: () => Promise<Tally>
}

export interface ReturnersOptions {
  problem: Sink['problem']
  evidence: ReturnType<typeof createEvidence>
  kind: () => 'millrace' | 'socket.io'
  /** Of the speakers. */
  dialect: () => Dialect
  tokenOf: (user: number) => string
  tokenFor: (userId: string) => string
  createRoom: (token: string, name: string) => Promise<string>
}

export function createReturners ({ problem, evidence, kind, dialect, tokenOf, tokenFor, createRoom }: ReturnersOptions) {
  const rooms: SharedRoom[] = []
  const returners: Returner[] = []
  const speakers = new Map<Connection, Speaker>()
  const earlier: Return[] = []
  let cuts = 0
  let talking = false

  const shared = { problem, keepSent: evidence.keepSent, keep: evidence.keep, keepRefused: evidence.keepRefused, keepCut: evidence.keepCut, keepFrom: evidence.keepFrom }

  function roomOf (id: string, sampled: boolean): SharedRoom {
    const room: SharedRoom = { id, members: [], returners: [], sampled, sent: 0, taken: new Set() }
    rooms.push(room)
    return room
  }

  function enrol (room: SharedRoom, returner: Returner): void {
    room.members.push(returner)
    room.returners.push(returner)
    returners.push(returner)
  }

  async function openSpeaker ({ host, port }: Server, index: number, user: number, itsRooms: readonly SharedRoom[]): Promise<void> {
    const connection = new Connection({ host, port, path: dialect().path, localAddress: `127.0.0.${2 + index % ADDRESSES}`, index, slot: 0, onText: dialect().onText, onFailure: problem })
    await connection.opened
    await dialect().greet(connection, tokenOf(user))
    connection.onSetup = undefined
    connection.keepsAcks = itsRooms.some(({ sampled }) => sampled)
    speakers.set(connection, new Speaker({ connection, rooms: itsRooms, dialect: dialect(), keepSent: evidence.keepSent }))
    for (const room of itsRooms) if (room.sampled) room.members.push(connection)
  }

  async function until (done: () => boolean, timeoutMs: number): Promise<boolean> {
    const end = performance.now() + timeoutMs
    while (!done()) {
      if (performance.now() > end) return false
      await sleep(LOOK_MS)
    }
    return true
  }

  const unacked = (): number => [...speakers.values(), ...returners].reduce((sum, who) => sum + who.unacked(), 0)
  const sum = (of: (returner: Returner) => number): number => returners.reduce((total, returner) => total + of(returner), 0)
  const events = (): number => sum(({ place }) => place.seq)
  const fromArchive = (): number => sum(returner => returner instanceof MillraceReturner ? returner.fromArchive : 0)

  /** Everything that was sent is acked, and everybody has it. */
  function isSettled (): boolean {
    return unacked() === 0 && rooms.every(({ sent, returners }) => returners.every(({ state, place }) => state === 'live' && place.received === sent))
  }

  function returnedSince (since: number): Returned {
    const all = returners.flatMap(returner => returner.takeReturns())
    for (const one of all) earlier.push(one)
    return summaryOf(all, Date.now() - since)
  }

  function summaryOf (all: readonly Return[], allMs: number): Returned {
    const histogram = microseconds()
    for (const { ms } of all) histogram.record(Math.max(1, Math.round(ms * 1000)))
    const losses: Record<string, number> = {}
    for (const returner of returners) for (const [reason, count] of returner.losses) losses[reason] = (losses[reason] ?? 0) + count
    return {
      ms: latencyOf(histogram),
      all_ms: allMs,
      clients: all.length,
      tries: all.reduce((total, { tries }) => total + tries, 0),
      refused: sum(({ refused }) => refused),
      caught_up: sum(returner => returner instanceof MillraceReturner ? returner.caughtUp : 0),
      from_archive: fromArchive(),
      losses,
    }
  }

  const requests: ReturnRequests = {
    async gather ({ rooms: count, perRoom, speakers: speaking, servers, dealt, speakersAt, jitterMs, sampleRooms, sampleSockets, tallies, verifies }) {
      const began = performance.now()
      const owner = (r: number): number => speaking > 0 ? -1 - r % speaking : r * perRoom // who speaks in a room has made it
      const ids: string[] = []
      await parallel(Array.from({ length: count }), 32, async (_, r) => { ids[r] = await createRoom(tokenOf(owner(r)), `bench ${r}`) })
      const made = ids.map((id, r) => roomOf(id, r < sampleRooms))
      for (let s = 0; s < speaking; s++) await openSpeaker(servers[speakersAt]!, SPEAKERS_FROM + s, -1 - s, made.filter((_, r) => r % speaking === s))
      made.forEach((room, r) => {
        for (let slot = 0; slot < perRoom; slot++) {
          const index = r * perRoom + slot
          const options = { ...shared, index, slot, room, token: tokenOf(index), servers, server: dealt ? index % servers.length : 0, jitterMs, sampled: room.sampled && slot < sampleSockets, tallies }
          enrol(room, kind() === 'millrace' ? new MillraceReturner({ ...options, joins: index !== owner(r), verifies }) : new SocketIoReturner(options))
        }
      })
      await parallel(returners, CONNECTING_MAX, async returner => { await returner.arrive() })
      await until(() => returners.every(({ state }) => state === 'live'), 10_000)
      for (const returner of returners) returner.takeReturns()
      return { clients: returners.length, ms: performance.now() - began }
    },

    async adopt ({ rooms: given, servers, sampleRooms, verifies }) {
      given.forEach(({ id, user_id }, index) => {
        const room = roomOf(id, index < sampleRooms)
        enrol(room, new MillraceReturner({ ...shared, index, slot: 0, room, token: tokenFor(user_id), servers, server: 0, jitterMs: 0, sampled: room.sampled, tallies: false, joins: false, from: START, verifies }))
      })
    },

    async rest () { for (const returner of returners) returner.rest() },

    async startOver () { for (const returner of returners) (returner as MillraceReturner).startOver(START) },

    async recall () {
      await parallel(returners, CONNECTING_MAX, async returner => { await returner.approach() })
      const before = { events: events(), fromArchive: fromArchive() }
      const histogram = microseconds()
      const began = performance.now()
      await Promise.all(returners.map(async returner => { histogram.record(Math.max(1, Math.round(await returner.enter() * 1000))) }))
      return { ms: latencyOf(histogram), all_ms: performance.now() - began, events: events() - before.events, from_archive: fromArchive() - before.fromArchive }
    },

    async fill ({ perRoom }) {
      await Promise.all([...speakers.values()].map(async speaker => { await speaker.fill(perRoom) }))
      return { sent: perRoom * rooms.length }
    },

    async talk ({ rate }) {
      const who = speakers.size > 0 ? [...speakers.values()] : returners
      const began = performance.now()
      let next = 0
      talking = true
      const tick = (): void => {
        if (!talking) return
        const now = performance.now()
        for (let due = began; ; next++) {
          due = began + next * 1000 / rate
          if (due > now) break
          who[next % who.length]!.say(due * 1000)
        }
        setTimeout(tick, 1)
      }
      tick()
    },

    async hush () { talking = false },

    async cutting ({ share, seconds }) {
      const began = performance.now()
      let due = 0
      for (let at = 0; at < seconds; at = (performance.now() - began) / 1000) {
        for (; due < at * share * returners.length; due++) {
          const returner = returners[Math.floor(Math.random() * returners.length)]!
          if (returner.state === 'away') continue
          returner.cut()
          cuts += 1
        }
        await sleep(LOOK_MS)
      }
    },

    async allLive ({ since, everyone, timeoutMs }) {
      const inTime = await until(() => returners.every(({ state, returns }) => state === 'live' && (!everyone || returns.length > 0)), timeoutMs)
      const returned = returnedSince(since)
      const away = returners.filter(({ state }) => state !== 'live')
      // Of the peer that is what is measured.
      if (!inTime && kind() === 'millrace') problem(`after ${timeoutMs} ms ${away.length} clients are not live, the first of them ${away[0]?.state}`)
      return returned
    },

    async settle ({ timeoutMs }) {
      const began = performance.now()
      if (kind() === 'millrace') {
        if (!await until(isSettled, timeoutMs)) {
          const behind = returners.filter(({ room, place }) => place.received !== room.sent)
          problem(`after ${timeoutMs} ms ${unacked()} messages are not acked, and ${behind.length} clients do not have all, socket ${behind[0]?.index} ${behind[0]?.place.received} of ${behind[0]?.room.sent}`)
        }
        return { ms: performance.now() - began }
      }
      let [before, quietSince] = [-1, performance.now()]
      await until(() => {
        const now = sum(({ place }) => place.received) - unacked()
        if (now !== before || returners.some(({ state }) => state !== 'live')) [before, quietSince] = [now, performance.now()]
        return performance.now() - quietSince > QUIET_MS
      }, timeoutMs)
      return { ms: performance.now() - began - QUIET_MS }
    },

    async tally () {
      returnedSince(Date.now())
      return {
        clients: returners.length,
        away: returners.filter(({ state }) => state !== 'live').length,
        sent: rooms.reduce((total, { sent }) => total + sent, 0),
        taken: rooms.reduce((total, { taken }) => total + taken.size, 0),
        due: rooms.reduce((total, { taken, returners }) => total + taken.size * returners.length, 0),
        missing: sum(returner => returner.missing()),
        twice: sum(({ twice }) => twice),
        never_acked: sum(returner => returner.lostMessages + returner.unacked()),
        recovered: sum(returner => returner instanceof SocketIoReturner ? returner.recovered : 0),
        unrecovered: sum(returner => returner instanceof SocketIoReturner ? returner.unrecovered : 0),
        cuts,
        cut: summaryOf(earlier.filter(({ cause }) => cause === 'cut'), Number.NaN),
        sent_away: summaryOf(earlier.filter(({ cause }) => cause === 'server'), Number.NaN),
      }
    },
  }

  return {
    requests,
    rooms,
    /** An ack came to a connection: of a speaker? */
    acked (connection: Connection): boolean {
      const speaker = speakers.get(connection)
      speaker?.onAcked()
      return speaker !== undefined
    },
  }
}
