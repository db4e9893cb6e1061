// Somebody who does everything that read models are made of, as fast as it goes and over whichever gateway answers: talks, answers,
// names others, edits, deletes, reacts, comes and goes, reads, and has a device that says what it was delivered. What fails is not
// tried again; what was answered to a mark is remembered.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Account, Client } from '../client.ts'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import type { Random } from './random.ts'
import type { Scene } from './rig.ts'

const ANSWER_MS = 2500
const EMOJI = ['👍', '😀', '❤️']
const OWN_KEPT = 40

export interface Actor {
  readonly done: () => number
  readonly failed: () => number
  /** `read <room>` or `delivered <room>` → the furthest mark that was acked. */
  readonly marks: ReadonlyMap<string, number>
  /** Begins nothing new; resolves when the last thing is answered. */
  finish: () => Promise<void>
  stop: () => void
}

export interface ActorOptions {
  readonly scene: Scene
  readonly account: Account
  readonly others: readonly Account[]
  readonly rooms: readonly string[]
  readonly device: string
  readonly random: Random
}

export function startActor ({ scene, account: { access_token: token }, others, rooms, device, random }: ActorOptions): Actor {
  const over = new AbortController()
  const marks = new Map<string, number>()
  const heads = new Map<string, number>()
  const mine: Array<{ room: string, seq: number }> = []
  const inside = new Set<string>([LOBBY_ID])
  let gateway = random.int(0, 1)
  let done = 0
  let failed = 0

  async function call (method: string, path: string, body?: object): Promise<any> {
    try {
      const response = await fetch(`${scene.urlOf(gateway)}${path}`, {
        method,
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, 'idempotency-key': random.uuid() },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(ANSWER_MS),
      })
      const text = await response.text()
      if (response.status >= 300) throw new Error(text)
      done += 1
      return text === '' ? {} : JSON.parse(text)
    } catch { // refused, or the outcome is unknown
      failed += 1
      gateway += 1
      await sleep(random.int(10, 100))
      return undefined
    }
  }

  function marked (key: string, seq: number | undefined): void {
    if (seq !== undefined) marks.set(key, Math.max(seq, marks.get(key) ?? 0))
  }

  const words = (): string => {
    const named = random.chance(0.25) ? ` @${random.pick(others).user.username}` : random.chance(0.03) ? ' @room' : ''
    return `${random.pick(['so', 'and yet', 'why', 'look', 'I see'])} ${random.int(1, 1000)}${named}`
  }

  async function talk (room: string): Promise<void> {
    const reply = heads.get(room)
    const event = await call('POST', `/rooms/${room}/messages`, { content: words(), ...(reply !== undefined && random.chance(0.1) && { reply_to: reply }) })
    if (event === undefined) return
    heads.set(room, event.seq)
    mine.push({ room, seq: event.seq })
    if (mine.length > OWN_KEPT) mine.shift()
  }

  async function comeOrGo (room: string): Promise<void> {
    if (room === LOBBY_ID) return
    const here = inside.has(room)
    if (await call('POST', `/rooms/${room}/${here ? 'leave' : 'join'}`, {}) === undefined) return
    if (here) inside.delete(room)
    else inside.add(room)
  }

  async function act (): Promise<void> {
    const room = random.pick([...inside])
    const own = mine.length > 0 ? random.pick(mine) : undefined
    const kind = random.next()
    if (kind < 0.05) return await comeOrGo(random.pick(rooms))
    if (kind < 0.12) return marked(`read ${room}`, (await call('PUT', `/rooms/${room}/read`, { seq: Math.max(0, (heads.get(room) ?? 5) - random.int(0, 20)) }))?.seq)
    if (own !== undefined && inside.has(own.room)) {
      if (kind < 0.2) return await call('PATCH', `/rooms/${own.room}/messages/${own.seq}`, { content: words() })
      if (kind < 0.25) return await call('DELETE', `/rooms/${own.room}/messages/${own.seq}`)
      if (kind < 0.35) return await call(random.chance(0.7) ? 'PUT' : 'DELETE', `/rooms/${own.room}/messages/${own.seq}/reactions/${encodeURIComponent(random.pick(EMOJI))}`)
    }
    await talk(room)
  }

  /** The device: connected as far as that goes, and says now and then how far it has come. */
  async function deliver (): Promise<void> {
    while (!over.signal.aborted) {
      let client: Client | undefined
      try {
        client = await scene.connect(gateway, token, { as: undefined, device_id: device, timeoutMs: ANSWER_MS })
        while (!over.signal.aborted) {
          await sleep(random.int(300, 1500))
          const some = Object.fromEntries([...heads].filter(([room]) => inside.has(room) && random.chance(0.5)).map(([room, seq]) => [room, Math.max(0, seq - random.int(0, 10))]))
          if ((await client.request({ type: 'delivered', rooms: some }, ANSWER_MS)).type === 'ack') for (const [room, seq] of Object.entries(some)) marked(`delivered ${room}`, seq)
        }
      } catch {
        await sleep(random.int(100, 500))
      }
      client?.cut()
    }
  }

  async function live (): Promise<void> {
    for (const room of rooms) if (random.chance(0.8)) await comeOrGo(room)
    while (!over.signal.aborted) {
      await act()
      await sleep(random.int(0, 120))
    }
  }

  const ended = Promise.all([live(), deliver()])
  return {
    done: () => done,
    failed: () => failed,
    marks,
    async finish () {
      over.abort()
      await ended
    },
    stop () { over.abort() },
  }
}
