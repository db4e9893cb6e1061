// Somebody who talks by means of the client itself (`src/client`), which has to do alone what a talker does by hand: reconnect to
// whichever gateway lets it in, resume, keep what it sends until it is acked, and say again what was acked and is lost. What the
// application hears goes to the checker: over all connections, resets and losses one contiguous run. What is sent and acked is seen on the wire.
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, isReset, type Reset, type RoomEvent, type SocketClass } from '../../src/client/client.ts'
import { ACKED_KEPT_MAX } from '../../src/client/outbox.ts'
import type { SubscriberRecorder } from '../checker.ts'
import { isEvent, type Frame, type Position } from '../client.ts'
import { createAcks, type Acks } from './acks.ts'
import { isAt, type Talker, type TalkerOptions } from './talker.ts'

const WAITING_MAX = 5
/** The client remembers so many acked messages in case they are lost; in a run, all of them may be. */
const SAID_MAX = ACKED_KEPT_MAX

export function startClientTalker ({ scene, random, name, token, rooms, gateways, talksMs, note }: TalkerOptions): Talker {
  const recorder = scene.subscriber(name)
  const acks = createAcks({ name, recorder })
  const complaints: string[] = []
  const moods = random.fork('moods')
  const finishing = new AbortController()
  const left = new AbortController()
  const at = new Map<string, Position>(rooms.map(room => [room, { seq: 0 }]))
  const sockets = { opened: 0, current: undefined as { close: () => void } | undefined }
  let gateway = random.int(0, gateways - 1)
  let waiting = 0
  let said = 0

  const client = connect({
    url: scene.urlOf(gateway),
    token,
    WebSocket: watched({ url: () => scene.urlOf(gateway++), recorder, acks, onOpen (socket) { sockets.opened += 1; sockets.current = socket } }),
    backOff: { baseMs: 50, capMs: 400 },
    random: moods.next,
  })
  client.on('refused', ({ client_id, error }) => { complaints.push(`${name}: ${client_id} was refused with ${error.code}: ${error.message}`) })
  client.on('state', state => { note(`${name} ${JSON.stringify(state)}`) })
  client.on('error', error => { complaints.push(`${name}: ${String(error)}`) })

  function hear (item: RoomEvent | Reset): void {
    recorder.frame(item as Frame)
    at.set(item.room_id, { seq: item.seq, chain: item.chain })
  }

  /** By a loop, or by listeners. */
  async function listen (room: string): Promise<void> {
    recorder.subscribed(room, { seq: 0 })
    const loop = client.room(room).events({ after: 0, signal: left.signal })
    try {
      for await (const item of loop) {
        if (isReset(item) && item.reason !== 'parted') complaints.push(`${name} was reset as ${item.reason} in room ${room}`)
        if (isReset(item)) note(`${name} ${JSON.stringify(item)}`)
        hear(item)
        if (moods.chance(0.002)) await sleep(moods.int(50, 500))
      }
    } catch (error) {
      if (!left.signal.aborted) complaints.push(`${name} cannot read room ${room}: ${(error as Error).message}`)
    }
  }

  async function speak (): Promise<void> {
    const pauseMs = random.int(5, 60)
    while (!finishing.signal.aborted && said < SAID_MAX) {
      if (waiting < WAITING_MAX) {
        waiting += 1
        const content = `${name} says ${said++}`
        client.room(random.pick(rooms)).send(content).catch((error: Error) => { if (!left.signal.aborted) complaints.push(`${name}: ${content}: ${error.message}`) }).finally(() => { waiting -= 1 })
      }
      if (moods.chance(0.01)) sockets.current?.close()
      await sleep(random.int(0, pauseMs * 2))
    }
  }

  const silence = setTimeout(() => { finishing.abort() }, talksMs)
  for (const room of rooms) void listen(room)
  void speak()
  return {
    name,
    reconnects: () => Math.max(0, sockets.opened - 1),
    complaints,
    finish () {
      clearTimeout(silence)
      finishing.abort()
    },
    waitsFor (heads) {
      const elsewhere = [...heads].flatMap(([room, head]) => at.has(room) && !isAt(at.get(room)!, head) ? [`${name} is at ${JSON.stringify(at.get(room))} of room ${room}, whose head is ${JSON.stringify(head)}`] : [])
      const { queued } = client.state
      return [...(queued + waiting > 0 ? [`${name} has ${queued} commands queued and waits for ${waiting}`] : []), ...acks.missing.map(client_id => `${name} has no ack of ${client_id}`), ...elsewhere, ...acks.unheard]
    },
    tell: acks.tell,
    leave () {
      left.abort()
      void client.close()
    },
  }
}

/** A WebSocket that goes to another gateway each time, and of which is noted which messages are sent and acked. */
function watched ({ url, recorder, acks, onOpen }: { url: () => string, recorder: SubscriberRecorder, acks: Acks, onOpen: (socket: { close: () => void }) => void }): SocketClass {
  return class Watched extends WebSocket {
    readonly #asked = new Map<number, { room_id: string, client_id: string }>()

    constructor (_url: string, protocol: string) {
      super(`${url().replace('http', 'ws')}/ws`, protocol)
      onOpen(this)
      this.addEventListener('message', ({ data }) => { this.#receive(JSON.parse(data as string) as Frame) }) // before the client's own
    }

    override send (data: string): void {
      const { type, ref, room_id, client_id, content } = JSON.parse(data) as Frame
      if (type === 'message') {
        this.#asked.set(ref, { room_id, client_id })
        recorder.sent({ room_id, client_id, content })
        acks.due(room_id, client_id)
      }
      super.send(data)
    }

    #receive (frame: Frame): void {
      const { type, ref, seq, chain, event_id, code, duplicate } = frame
      if (type === 'reset' || type === 'live' || isEvent(frame)) acks.heard(frame) // in the order of the wire: a loop hears of it a little later than of an ack behind it
      const asked = this.#asked.get(ref)
      if (asked === undefined) return
      const { room_id, client_id } = asked
      this.#asked.delete(ref)
      if (type === 'ack') acks.acked(client_id, { room_id, seq, chain, event_id, duplicate: duplicate === true })
      else recorder.refused({ room_id, client_id, code })
    }
  } as unknown as SocketClass
}
