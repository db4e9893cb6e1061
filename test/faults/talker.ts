// Somebody who talks in several rooms, as clients do who are meant to lose nothing: several messages on the way at once, sent again
// in order with the same `client_id` until they are acked, on whichever gateway lets it in; back after every break with the last
// position of each room; what was acked and is lost, as they are told, is said again. Notices a dead connection by pings. Sometimes
// misbehaves: cuts the socket itself, reads nothing for a while, comes back with an older position or without the chain, sends again
// what was acked long ago.
import { setTimeout as sleep } from 'node:timers/promises'
import { isEvent, Refused, type Client, type Frame, type Position } from '../client.ts'
import { createAcks } from './acks.ts'
import type { Random } from './random.ts'
import type { Scene } from './rig.ts'

const ANSWER_MS = 2500
const PING_EVERY_MS = 600
const PONG_MS = 1500
const RETRIED = ['unavailable', 'overloaded', 'conflict', 'busy']
const POSITIONS_KEPT = 50

export interface Talker {
  readonly name: string
  readonly reconnects: () => number
  /** Begins nothing new. */
  finish: () => void
  /** What there is yet to come: empty when everything said is acked and heard, and it is at the head of every room. */
  waitsFor: (heads: ReadonlyMap<string, Position>) => string[]
  /** Tells the checker which acks it holds. */
  tell: () => void
  leave: () => void
  /** What it should never have been told. */
  readonly complaints: string[]
}

export interface TalkerOptions {
  readonly scene: Scene
  readonly random: Random
  readonly name: string
  readonly token: string
  readonly rooms: readonly string[]
  /** How it spends its time: talks, listens, wanders (joins and leaves the first of its rooms over and over), talks over HTTP, or by means of the client (`client-talker.ts`). */
  readonly kind: 'talk' | 'listen' | 'wander' | 'post' | 'client'
  readonly gateways: number
  /** After this time it begins nothing new: rooms fall silent while something is still broken, and no later event betrays a lost one. */
  readonly talksMs: number
  /** Whether Redis loses data in this run. */
  readonly loses: boolean
  /** Told what befalls it. */
  readonly note: (line: string) => void
}

export const isAt = (position: Position, { seq, chain }: Position): boolean => position.seq === seq && (position.chain ?? chain) === chain

interface Command { readonly room: string, readonly frame: Frame, readonly client_id: string, tries: number, lost?: boolean }

export function startTalker ({ scene, random, name, token, rooms, kind, gateways, talksMs, loses, note }: TalkerOptions): Talker {
  const recorder = scene.subscriber(name)
  const moods = random.fork('moods')
  const positions = new Map<string, Position[]>(rooms.map(room => [room, [{ seq: 0 }]])) // oldest first
  const complaints: string[] = []
  const acked = new Map<string, Command>()
  let unacked: Command[] = []
  const unheard = new Set<string>() // rooms whose subscription the server gave up
  let gateway = random.int(0, gateways - 1)
  let current: Client | undefined
  let reconnects = -1
  const finishing = new AbortController()
  const left = new AbortController()
  let said = 0

  const acks = createAcks({
    name,
    recorder,
    onLost (client_ids) { // as the client does: messages are said again, in their order; what else was done is not
      const lost = client_ids.flatMap(client_id => acked.get(client_id) ?? [])
      for (const { client_id } of lost) acked.delete(client_id)
      unacked = [...lost.filter(({ frame }) => frame.type === 'message'), ...unacked]
      for (const command of lost) {
        command.lost = true
        if (command.frame.type !== 'message') acks.forget(command.client_id)
      }
    },
  })

  function ackedBy (command: Command, { seq, chain, event_id, duplicate }: Frame): true {
    acked.set(command.client_id, command)
    acks.acked(command.client_id, { room_id: command.room, seq, chain, event_id, duplicate: duplicate === true }, kind === 'post')
    return true
  }

  const as = {
    ...recorder,
    frame (frame: Frame) {
      recorder.frame(frame)
      const { type, room_id, seq, chain, ref } = frame
      const known = positions.get(room_id)
      if (known === undefined || type === 'ack') return
      if (type === 'reset' || type === 'live' || isEvent(frame)) acks.heard(frame)
      if (type === 'reset' || type === 'live' || type === 'error') note(`${name} ${JSON.stringify(frame)}`)
      if (type === 'error') {
        if (ref === undefined) unheard.add(room_id)
      } else if (type === 'reset') positions.set(room_id, [...known.filter(position => position.seq < seq), { seq, chain }])
      else if (typeof seq === 'number' && seq > known.at(-1)!.seq) {
        known.push({ seq, chain })
        if (known.length > POSITIONS_KEPT * 2) known.splice(1, POSITIONS_KEPT) // keeps the beginning
      }
    },
  }

  const last = (room: string): Position => positions.get(room)!.at(-1)!

  /** Mostly the last position; sometimes an older one, and sometimes without the chain, as simple clients do: whoever does can be told of few losses. */
  function claim (room: string): Position {
    const known = positions.get(room)!
    const at = moods.chance(0.15) ? moods.int(0, known.length - 1) : known.length - 1
    positions.set(room, known.slice(0, at + 1)) // it has forgotten the rest
    if (loses && at < known.length - 1) recorder.forgot(room, known[at]!.seq)
    const { seq, chain } = known[at]!
    const also = moods.chance(0.3) ? { also: known.slice(0, at).slice(-5) } : {}
    return moods.chance(0.1) && !loses ? { seq, ...also } : { seq, chain, ...also }
  }

  async function stayOnline (): Promise<void> {
    while (!left.signal.aborted) {
      let client: Client
      try {
        reconnects += 1
        unheard.clear()
        client = await scene.connect(gateway++, token, { as, resume: { rooms: Object.fromEntries(rooms.map(room => [room, claim(room)])) }, timeoutMs: ANSWER_MS })
      } catch {
        await sleep(moods.int(30, 200))
        continue
      }
      if (left.signal.aborted) return client.cut()
      current = client
      note(`${name} is on gateway ${(gateway - 1) % gateways} with ${JSON.stringify(rooms.map(last))}`)
      await Promise.race([client.closed, tend(client)])
      current = undefined
      client.cut()
    }
  }

  /** Pings, subscribes again where the server had to give up, and has moods. Ends when the connection is dead. */
  async function tend (client: Client): Promise<void> {
    for (let pinged = Date.now(); ;) {
      await sleep(moods.int(50, 150))
      if (left.signal.aborted || client !== current) return
      for (const room of acks.overdue) await askAgain(client, room)
      for (const room of [...unheard]) {
        unheard.delete(room)
        void client.subscribe(room, last(room)).catch(error => { if (error instanceof Refused) unheard.add(room) })
      }
      if (!finishing.signal.aborted && moods.chance(0.01)) return
      if (!finishing.signal.aborted && moods.chance(0.01)) {
        client.pause()
        await sleep(moods.int(100, 800))
        client.resume()
      }
      if (Date.now() - pinged < PING_EVERY_MS) continue
      try {
        await client.request({ type: 'ping' }, PONG_MS)
      } catch {
        return
      }
      pinged = Date.now()
    }
  }

  /** Whether what was acked is there. Frames of the subscription before must not be taken for those of the new one: so that ends first. */
  async function askAgain (client: Client, room: string): Promise<void> {
    try {
      await client.unsubscribe(room)
      await client.subscribe(room, last(room))
    } catch {
      unheard.add(room)
    }
  }

  function next (): Command {
    const command = draw()
    acks.due(command.room, command.client_id)
    return command
  }

  function draw (): Command {
    const client_id = random.uuid()
    if (kind === 'wander') {
      said += 1
      return { room: rooms[0]!, frame: { type: said % 2 === 1 ? 'leave' : 'join' }, client_id, tries: 0 }
    }
    return { room: random.pick(rooms), frame: { type: 'message', content: `${name} says ${said++}` }, client_id, tries: 0 }
  }

  /** One try over HTTP, where `Idempotency-Key` is the `client_id`. True when it was acked. */
  async function post (command: Command): Promise<boolean> {
    const { room, client_id, frame: { content } } = command
    recorder.sent({ room_id: room, client_id, content })
    try {
      const response = await fetch(`${scene.urlOf(gateway)}/rooms/${room}/messages`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, 'idempotency-key': client_id },
        body: JSON.stringify({ content }),
        signal: AbortSignal.timeout(ANSWER_MS),
      })
      const body = await response.json() as Frame
      if (response.status === 201) return ackedBy(command, body)
      recorder.refused({ room_id: room, client_id, code: body.code })
      if (!RETRIED.includes(body.code)) complaints.push(`${name}: POST ${client_id} was answered with ${response.status} ${JSON.stringify(body)}`)
    } catch {} // outcome unknown
    gateway += 1
    return false
  }

  /** One try. True when it was acked. */
  async function send (client: Client, command: Command): Promise<boolean> {
    const { room, client_id, frame } = command
    const again = command.lost === true || (command.tries++ > 0 && random.chance(0.8)) // without the mark the append script alone has to notice
    try {
      recorder.sent({ room_id: room, client_id, ...(frame.content !== undefined && { content: frame.content }) })
      // Noted before any later frame is looked at, which may say that it is lost.
      const answer = await client.request({ ...frame, room_id: room, client_id, ...(again && { resend: true }) }, ANSWER_MS, answer => { if (answer.type === 'ack' && answer.seq !== undefined) ackedBy(command, answer) })
      if (answer.type === 'error') {
        recorder.refused({ room_id: room, client_id, code: answer.code })
        if (loses && kind === 'wander' && answer.code === 'not_member') { // what it had done before was lost
          acks.forget(client_id)
          return true
        }
        if (!RETRIED.includes(answer.code)) complaints.push(`${name}: ${frame.type} ${client_id} was refused with ${answer.code}: ${answer.message}`)
        return false
      }
      if (answer.seq !== undefined) return true
      if (loses && kind === 'wander') acks.forget(client_id) // likewise
      else complaints.push(`${name}: ${frame.type} ${client_id} was answered as if there had been nothing to do`)
      return true
    } catch {
      return false // outcome unknown
    }
  }

  async function speak (): Promise<void> {
    const atOnce = kind === 'talk' ? random.int(1, 5) : 1
    const pauseMs = kind === 'wander' ? 60 : random.int(5, 60)
    while (!left.signal.aborted) {
      while (!finishing.signal.aborted && unacked.length < atOnce) unacked.push(next())
      const client = current
      if (unacked.length === 0 || (client === undefined && kind !== 'post')) {
        await sleep(20)
        continue
      }
      const some = unacked
      unacked = [] // what turns out to be lost meanwhile comes before what is left of these
      const results = await Promise.all(some.map(async command => await (kind === 'post' ? post(command) : send(client!, command))))
      unacked = [...unacked, ...some.filter((_, i) => !results[i])]
      if (unacked.length > 0) await sleep(random.int(20, 120))
      else if (!finishing.signal.aborted) {
        await sleep(random.int(0, pauseMs * 2))
        if (kind === 'talk' && acked.size > 0 && random.chance(0.1) && current !== undefined) await send(current, random.pick([...acked.values()]))
      }
    }
  }

  const silence = setTimeout(() => { finishing.abort() }, talksMs)
  if (kind !== 'listen') void speak()
  const online = stayOnline()
  return {
    name,
    reconnects: () => Math.max(0, reconnects),
    complaints,
    finish () {
      clearTimeout(silence)
      finishing.abort()
    },
    waitsFor (heads) {
      const elsewhere = [...heads].flatMap(([room, head]) => positions.has(room) && !isAt(last(room), head) ? [`${name} is at ${JSON.stringify(last(room))} of room ${room}, whose head is ${JSON.stringify(head)}`] : [])
      return [...acks.missing.map(client_id => `${name} has no ack of ${client_id}`), ...elsewhere, ...acks.unheard]
    },
    tell: acks.tell,
    leave () {
      left.abort()
      current?.cut()
      void online
    },
  }
}
