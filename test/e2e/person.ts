// Somebody with a phone: says what they have to say, one message after the other, and hears one room; whatever breaks, comes
// back to the next gateway with the last position and sends again what was not acked.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Refused, type Client, type Position } from '../client.ts'
import type { millrace } from './world.ts'

type World = Pick<Awaited<ReturnType<typeof millrace>>, 'subscriber' | 'connect'>

export interface Person {
  readonly reconnects: () => number
  /** Resolves when everything was said and acked. */
  readonly spoken: Promise<void>
  /** Resolves with the final position once the room was heard up to `seq`. */
  heard: (seq: number) => Promise<void>
  leave: () => Promise<void>
}

export function startPerson (world: World, { name, token, room, messages, pauseMs = 0 }: { name: string, token: string, room: string, messages: number, pauseMs?: number }): Person {
  const as = world.subscriber(name)
  let gateway = Math.floor(Math.random() * 2)
  let reconnects = -1
  let position: Position = { seq: 0 }
  let current: Promise<Client> | undefined
  let left = false

  async function online (): Promise<Client> {
    for (;;) {
      current ??= (async () => {
        for (;;) {
          try {
            reconnects += 1
            const client = await world.connect(gateway++, token, { as, resume: { rooms: { [room]: position } }, timeoutMs: 3000 })
            void client.closed.then(() => {
              position = client.position(room) ?? position
              current = undefined
              if (!left) void online()
            })
            return client
          } catch {
            if (left) throw new Error('left')
            await sleep(50 + Math.random() * 150)
          }
        }
      })()
      const mine = current
      const client = await mine
      if (current === mine) return client
    }
  }

  async function speak (): Promise<void> {
    for (let i = 0; i < messages; i++) {
      const client_id = randomUUID()
      for (let tries = 0; ; tries++) {
        try {
          const client = await online()
          await client.message(room, `${name} says ${i}`, { client_id, resend: tries > 0 })
          break
        } catch (error) {
          // A subscription that failed while Redis was away is asked for again with the message.
          if (error instanceof Refused && !['unavailable', 'overloaded', 'conflict'].includes(error.code)) throw error
          await sleep(20 + Math.random() * 80)
        }
      }
      if (pauseMs > 0) await sleep(pauseMs)
    }
  }

  const spoken = speak()
  spoken.catch(() => {})
  return {
    reconnects: () => reconnects,
    spoken,
    async heard (seq) {
      for (const deadline = Date.now() + 20_000; ;) {
        const client = await online()
        const at = client.position(room)?.seq ?? 0
        if (at >= seq) return
        if (Date.now() > deadline) throw new Error(`${name} has heard up to ${at} of ${seq}`)
        // The server said no to the subscription while the log was away: ask again.
        if (client.frames.some(({ type, room_id }) => type === 'error' && room_id === room) && client.frames.at(-1)!.type === 'error') await client.subscribe(room, client.position(room) ?? position).catch(() => {})
        await sleep(50)
      }
    },
    async leave () {
      left = true
      ;(await current?.catch(() => undefined))?.cut()
    },
  }
}
