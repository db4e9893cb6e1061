// The one checker: it records what clients sent, what was acked and what each subscriber received, and judges all of it
// against the logs: acked ⊆ delivered ⊆ log; per room dense, chained, in order, once; archive and read models equal to
// the log folded naïvely. It knows the wire and the rules, and imports nothing of Millrace's source, so that it cannot
// share a mistake with it. It judges order while frames arrive and keeps runs of seq, not frames, so that a bench can
// feed it millions. It does not read Redis or Postgres: whoever asks for a judgement brings the logs and the rows.

import {
  at, brief, canonical, createProblems, differing, judgeArchive, judgeLog, judgeMessages, parsed, stands,
  type ArchiveRow, type HistoryRow, type LogEntry, type Problems,
} from './checker-log.ts'
import { isEvent, type ClientRecorder, type Frame, type Position } from './client.ts'

export type Checkpoint = { projection: string, room_id: string, seq: number | string, chain: string }
/** Any other read model: the rows it has and how to make them from the room's events in order. */
export type Folded = { what: string, room_id: string, rows: unknown[], fold: (events: Frame[]) => unknown[] }

export type Evidence = {
  logs: Map<string, LogEntry[]>
  archive?: Map<string, ArchiveRow[]>
  messages?: Map<string, HistoryRow[]>
  folded?: Folded[]
  checkpoints?: Checkpoint[]
  /** Every subscriber that is not `gone` must have reached the head of each of its rooms. */
  expectAllDelivered?: boolean
  /** Data was lost: a reset may have been right though what it took back stands in the end, appended again by whoever had no answer. */
  lost?: boolean
  /** Every checkpoint must be at the head of its room. */
  expectAllProjected?: boolean
}

export type Judgement = { ok: boolean, problems: string[], counted: Counted }
export type Counted = Record<
  'rooms' | 'entries' | 'sent' | 'acked' | 'duplicates' | 'refused' | 'subscribers' | 'delivered' | 'voided' | 'resets' |
  'cuts' | 'silent' | 'archived' | 'messages', number> & { problems: Record<string, number> }

type Sent = { session: string, room_id: string, client_id: string, content?: string, user_id?: string, at?: number }
type Acked = { session: string, room_id: string, client_id?: string, seq: number, chain: string, event_id: string, duplicate?: boolean }
type Command = Sent & { nth: number, sessions: Set<string>, refused: boolean, duplicate: boolean }
type Verdicts = (room_id: string, seq: number, reading: number) => string
/** A run of deliveries of the same reading (see `intern`). */
type Run = { from: number, to: number, reading: number }
type Claim = { seq: number, chain: string, what: string }
/** `since` is how many commands had been sent when a live subscription stood, `due` the first seq that it saw or was told of. */
type Live = { since: number, due?: number }
type Place = { at: Partial<Position>, atMost?: number, runs: Run[], claims: Claim[], active: boolean, live?: Live }

export type Checker = ReturnType<typeof createChecker>
export type SubscriberRecorder = ReturnType<Checker['subscriber']>

export function createChecker () {
  const commands = new Map<string, Command>()
  const acks: Acked[] = []
  const subscribers = new Map<string, { recorder: Required<ClientRecorder> & { gone: () => void, forgot: (room_id: string, seq: number) => void }, places: Map<string, Place>, isGone: () => boolean }>()
  const readings = new Map<string, Map<number, string[]>>()
  const seen = { delivered: 0, voided: 0, resets: 0, cuts: 0, duplicates: 0, refused: 0 }
  const early = createProblems()

  function sent (command: Sent) {
    const key = `${command.room_id} ${command.client_id}`
    const known = commands.get(key)
    if (known) known.sessions.add(command.session)
    else commands.set(key, { ...command, nth: commands.size, sessions: new Set([command.session]), refused: false, duplicate: false })
  }

  function acked (ack: Acked) {
    acks.push(ack)
    const command = commands.get(`${ack.room_id} ${ack.client_id}`)
    if (!ack.duplicate) return
    seen.duplicates++
    if (command) command.duplicate = true
  }

  /** The command was answered by `error`: what becomes of it when it is sent again has no place in the session's order. */
  function refused ({ room_id, client_id }: { room_id: string, client_id: string, code?: string }) {
    seen.refused++
    const command = commands.get(`${room_id} ${client_id}`)
    if (command) command.refused = true
  }

  // Most subscribers get the same text for an event, so it is kept once and a delivery is a number: which reading of it.
  function intern (frame: Frame): number {
    let room = readings.get(frame.room_id)
    if (!room) readings.set(frame.room_id, room = new Map())
    const text = JSON.stringify(frame)
    const texts = room.get(frame.seq)
    if (!texts) { room.set(frame.seq, [text]); return 0 }
    const known = texts.indexOf(text)
    return known >= 0 ? known : texts.push(text) - 1
  }

  function subscriber (name: string) {
    const known = subscribers.get(name)
    if (known) return known.recorder
    const places = new Map<string, Place>()
    let connection = 1
    let gone = false

    // A room that nobody subscribed to by name (`resume.all`) begins wherever its first frame says.
    function placeOf (room_id: string): Place {
      let place = places.get(room_id)
      if (!place) places.set(room_id, place = { at: {}, runs: [], claims: [], active: true })
      return place
    }

    function event (frame: Frame) {
      const place = placeOf(frame.room_id)
      const { seq, room_id } = frame
      const last = place.at.seq
      if (!place.active) early.add('unsubscribed', `${name} got seq ${seq} of room ${room_id} after it had unsubscribed`)
      if (last !== undefined && seq <= last) {
        const twice = place.runs.some(run => seq >= run.from && seq <= run.to)
        return early.add(twice ? 'twice' : 'order', `${name} got seq ${seq} of room ${room_id} ${twice ? 'twice' : 'out of order'}: it was at ${last}`)
      }
      const expected = last !== undefined ? last + 1 : place.atMost
      if (expected !== undefined && seq > expected) early.add('hole', `${name} got seq ${seq} of room ${room_id} where ${expected} was due, without a reset`)
      const reading = intern(frame)
      const run = place.runs.at(-1)
      if (run && run.to === seq - 1 && run.reading === reading) run.to = seq
      else place.runs.push({ from: seq, to: seq, reading })
      place.at = { seq, chain: frame.chain }
      place.atMost = undefined
      if (place.live) place.live.due ??= seq
      seen.delivered++
    }

    function becameLive ({ room_id, seq, chain }: Frame) {
      const place = placeOf(room_id)
      const { at, atMost } = place
      if (atMost !== undefined && seq >= atMost) early.add('hole', `${name} was told live at seq ${seq} of room ${room_id} where ${atMost} was due, without a reset`)
      if (at.seq !== undefined && at.seq !== seq) early.add('live', `${name} was told live at seq ${seq} of room ${room_id} but was at ${at.seq}`)
      place.claims.push({ seq, chain, what: 'was told live at' })
      if (at.seq === undefined || at.seq === seq) place.at = { seq, chain }
      place.atMost = undefined
      if (place.live) place.live.due ??= seq + 1
    }

    /** It does not hold what was delivered after `seq`. */
    function drop (place: Place, seq: number) {
      for (const run of place.runs) seen.voided += Math.max(0, run.to - Math.max(seq, run.from - 1))
      place.runs = place.runs.filter(run => run.from <= seq).map(run => ({ ...run, to: Math.min(run.to, seq) }))
    }

    function reset ({ room_id, seq, chain, reason }: Frame) {
      const place = placeOf(room_id)
      seen.resets++
      const voids = place.at.seq !== seq || place.at.chain !== chain // else it is about acks of what was not delivered yet
      if (reason === 'parted' && voids && place.at.seq !== undefined && place.at.chain !== undefined) {
        place.claims.push({ seq: place.at.seq, chain: place.at.chain, what: 'needless' })
      }
      drop(place, seq)
      place.claims = place.claims.filter(claim => claim.seq < seq || (claim.seq === seq && claim.chain === chain) || claim.what === 'needless')
      place.claims.push({ seq, chain, what: 'was reset to' })
      place.at = { seq, chain }
      place.atMost = undefined
      place.live = undefined
    }

    const recorder = {
      frame (frame: Frame) {
        if (frame.type === 'live') becameLive(frame)
        else if (frame.type === 'reset') reset(frame)
        else if (isEvent(frame)) event(frame)
        else if (frame.type === 'unreadable') early.add('unreadable', `${name} got what is no frame: ${String(frame.text).slice(0, 80)}`)
      },
      /**
       * Call it before the first frame of the run. With a position, what follows it is due next. With `live`, the
       * subscription must stand already (its ack has come): what is sent from now on is due.
       */
      subscribed (room_id: string, from: Position | 'live') {
        const place = placeOf(room_id)
        place.active = true
        place.atMost = undefined
        place.at = from === 'live' ? {} : { seq: from.seq, chain: from.chain }
        place.live = from === 'live' ? { since: commands.size } : undefined
        if (from !== 'live' && from.chain !== undefined) place.claims.push({ seq: from.seq, chain: from.chain, what: 'resumed from' })
      },
      /** It has forgotten what it had after `seq`, as somebody has who goes back to an older place: whether it stands, nobody can tell them. */
      forgot (room_id: string, seq: number) {
        const place = placeOf(room_id)
        drop(place, seq)
        place.claims = place.claims.filter(claim => claim.seq <= seq)
      },
      unsubscribed (room_id: string) { placeOf(room_id).active = false },
      /** All memberships come back from marks that the server keeps: at or below what was delivered, never above. */
      resumedAll () {
        for (const place of places.values()) {
          place.atMost = place.at.seq === undefined ? undefined : place.at.seq + 1
          place.at = {}
        }
      },
      /** The socket is lost. What comes next continues where this ended, unless `subscribed` says otherwise. */
      cut () { connection++; seen.cuts++ },
      /** It will not come back: nothing more is expected to reach it. */
      gone () { gone = true },
      // A session lasts as long as its socket: order is promised within one.
      sent: (command: Omit<Sent, 'session'>) => sent({ ...command, session: `${name}#${connection}` }),
      acked: (ack: Omit<Acked, 'session'>) => acked({ ...ack, session: `${name}#${connection}` }),
      refused,
    }
    subscribers.set(name, { recorder, places, isGone: () => gone })
    return recorder
  }

  function judge (evidence: Evidence): Judgement {
    const problems = createProblems(early)
    const { logs, archive, messages, folded = [], checkpoints = [] } = evidence
    const eventsByClientId = new Map<string, Frame[]>()
    for (const [room_id, log] of logs) {
      for (const event of judgeLog(room_id, log, problems)) {
        if (event.client_id === undefined) continue
        const key = `${room_id} ${event.client_id}`
        const same = eventsByClientId.get(key)
        if (same) same.push(event)
        else eventsByClientId.set(key, [event])
      }
    }
    judgeCommands(logs, eventsByClientId, problems)
    const owed = owedByRoom()
    const verdicts = createVerdicts(logs)
    let silent = 0
    for (const [name, { places, isGone }] of subscribers) {
      for (const [room_id, place] of places) {
        judgePlace(name, room_id, place, logs.get(room_id), verdicts, evidence.lost === true, problems)
        const { since = 0, due } = place.live ?? {}
        const first = place.live && owed.get(room_id)?.find(ack => ack.nth >= since)?.seq
        if (first !== undefined && due !== undefined && due > first) problems.add('hole', `${name} began room ${room_id} at seq ${due}, though ${first} was sent after it had subscribed`)
        if (!evidence.expectAllDelivered || isGone() || !place.active) continue
        const head = logs.get(room_id)?.at(-1)?.seq ?? 0
        const reached = place.at.seq ?? (place.atMost === undefined ? undefined : place.atMost - 1)
        if (reached === undefined && first !== undefined) problems.add('undelivered', `${name} got nothing of room ${room_id}, though seq ${first} was sent after it had subscribed`)
        else if (reached === undefined) silent++
        else if (reached < head) problems.add('undelivered', `${name} reached seq ${reached} of room ${room_id}, whose head is ${head}`)
      }
    }
    if (archive) judgeArchive(logs, archive, problems)
    if (messages) judgeMessages(logs, messages, problems)
    for (const { what, room_id, rows, fold } of folded) {
      const wanted = fold((logs.get(room_id) ?? []).flatMap(entry => parsed(room_id, entry)))
      const at = Array.from({ length: Math.max(wanted.length, rows.length) }).findIndex((_, i) => canonical(wanted[i]) !== canonical(rows[i]))
      if (at >= 0) problems.add('folded', `${what} of room ${room_id} differs from the log folded at row ${at}: ${brief(rows[at])} instead of ${brief(wanted[at])}`)
    }
    for (const { projection, room_id, seq, chain } of checkpoints) {
      const log = logs.get(room_id) ?? []
      const head = log.at(-1)?.seq ?? 0
      if (!stands(log, Number(seq), chain)) problems.add('checkpoint', `the checkpoint of ${projection} in room ${room_id} is at seq ${seq} chain ${chain}, which the log does not have`)
      else if (evidence.expectAllProjected && Number(seq) !== head) problems.add('checkpoint', `the checkpoint of ${projection} in room ${room_id} is at seq ${seq}, the head is ${head}`)
    }
    const sum = (of: Map<string, unknown[]> | undefined) => [...of?.values() ?? []].reduce((n, list) => n + list.length, 0)
    return {
      ok: Object.keys(problems.counts).length === 0,
      problems: problems.sentences(),
      counted: {
        rooms: logs.size,
        entries: sum(logs),
        sent: commands.size,
        acked: acks.length,
        subscribers: subscribers.size,
        ...seen,
        silent,
        archived: sum(archive),
        messages: sum(messages),
        problems: problems.counts,
      },
    }
  }

  // Per room, in the order of sending: the lowest seq that was acked to a command sent then or later.
  function owedByRoom (): Map<string, { nth: number, seq: number }[]> {
    const rooms = new Map<string, { nth: number, seq: number }[]>()
    for (const { room_id, client_id, seq } of acks) {
      const command = commands.get(`${room_id} ${client_id}`)
      if (!command || command.duplicate || command.sessions.size > 1) continue
      const room = rooms.get(room_id)
      if (room) room.push({ nth: command.nth, seq })
      else rooms.set(room_id, [{ nth: command.nth, seq }])
    }
    for (const room of rooms.values()) {
      room.sort((a, b) => a.nth - b.nth)
      for (let i = room.length - 2; i >= 0; i--) room[i]!.seq = Math.min(room[i]!.seq, room[i + 1]!.seq)
    }
    return rooms
  }

  function judgeCommands (logs: Map<string, LogEntry[]>, eventsByClientId: Map<string, Frame[]>, problems: Problems) {
    for (const { session, room_id, client_id, seq, chain, event_id } of acks) {
      const entry = at(logs.get(room_id), seq)
      const ack = `the ack of ${client_id ?? 'a command'} in session ${session} names seq ${seq} of room ${room_id}`
      if (!entry) { problems.add('ack', `${ack}, which the log does not have`); continue }
      if (entry.event_id !== event_id) problems.add('ack', `${ack} as event ${event_id}, in the log it is ${entry.event_id}`)
      if (entry.chain !== chain) problems.add('ack', `${ack} with chain ${chain}, in the log it is ${entry.chain}`)
      const logged = parsed(room_id, entry)[0]?.client_id
      if (client_id !== undefined && logged !== client_id) problems.add('ack', `${ack}, where the log has ${logged ?? 'no client_id'}`)
    }
    const last = new Map<string, { seq: number, client_id: string }>()
    for (const [key, command] of commands) {
      const [event, ...others] = eventsByClientId.get(key) ?? []
      if (!event || others.length > 0) continue
      const { session, room_id, client_id, content } = command
      if (content !== undefined && event.content !== content && event.deleted !== true) problems.add('content', `${client_id} was sent to room ${room_id} as ${brief(content)} and logged as ${brief(event.content)}`)
      // Order is promised to what went out once: a command sent again, or answered by an error, may come to lie later.
      if (command.refused || command.duplicate || command.sessions.size > 1) continue
      const before = last.get(`${session} ${room_id}`)
      if (before && before.seq > event.seq) problems.add('session order', `session ${session} sent ${before.client_id} before ${client_id}, in the log of room ${room_id} they are seq ${before.seq} and ${event.seq}`)
      else last.set(`${session} ${room_id}`, { seq: event.seq, client_id })
    }
  }

  // A reading is compared with the log once, however many subscribers it was delivered to.
  function createVerdicts (logs: Map<string, LogEntry[]>) {
    const rooms = new Map<string, string[][]>()
    return (room_id: string, seq: number, reading: number): string => {
      let room = rooms.get(room_id)
      if (!room) rooms.set(room_id, room = [])
      const known = room[seq] ??= []
      const text = readings.get(room_id)?.get(seq)?.[reading] ?? ''
      return (known[reading] ??= verdict(room_id, at(logs.get(room_id), seq), text))
    }
  }

  function judgePlace (name: string, room_id: string, place: Place, log: LogEntry[] | undefined, verdicts: Verdicts, lost: boolean, problems: Problems) {
    for (const { seq, chain, what } of place.claims) {
      const standing = stands(log ?? [], seq, chain)
      if (what === 'needless' && standing && !lost) problems.add('reset', `${name} was reset as parted in room ${room_id}, though seq ${seq} chain ${chain}, which it held, is in the log`)
      if (what !== 'needless' && !standing) problems.add('position', `${name} ${what} seq ${seq} chain ${chain} of room ${room_id}, which the log does not have`)
    }
    for (const { from, to, reading } of place.runs) {
      for (let seq = from; seq <= to; seq++) {
        const verdict = verdicts(room_id, seq, reading)
        if (verdict !== '') problems.add('delivered', `${name} got seq ${seq} of room ${room_id} ${verdict}`)
      }
    }
  }

  return { sent, acked, refused, subscriber, judge }
}

/** How what was delivered differs from the entry, empty when it does not. */
function verdict (room_id: string, entry: LogEntry | undefined, text: string): string {
  if (!entry) return 'which the log does not have'
  const [logged, received] = [parsed(room_id, entry)[0], JSON.parse(text)]
  // Whoever heard it before it was deleted heard all of it.
  const fields = differing(canonical(logged), canonical(logged?.deleted === true && received.deleted !== true ? asDeleted(received) : received))
  return fields === '' ? '' : `with another ${fields} than the log has`
}

/** What is left of a message or an edit when its message is deleted, as PROTOCOL.md has it. */
function asDeleted ({ mentions: _m, mentions_room: _r, attachments: _a, ...event }: Record<string, unknown>): Record<string, unknown> {
  return { ...event, content: '', deleted: true }
}
