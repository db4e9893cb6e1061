// People who write a great deal into the lobby over sockets, each message numbered, with everything in it that people write: for what a page makes of that.
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { LOBBY_ID } from '../../src/domain/lobby.ts'

/** Messages under way while the room is filled. */
const WINDOW = 64
/** Milliseconds from one look to the next of those that wait. */
const LOOK_MS = 100

/** Text as people write it, with everything in it that is more work than words. */
function textOf (n: number): string {
  const words = 'the tail follows the log and every event is told once in order to whoever asked for it'.split(' ')
  const some = Array.from({ length: 4 + (n * 7) % 40 }, (_, i) => words[(n + i * 5) % words.length]).join(' ')
  const more = ['', '\n```ts\nconst { seq, chain } = await log.append(room, events)\nif (seq !== last + 1) throw new Hole(last, seq)\n```', ' **and it holds**, *mostly*, `as said`', ' https://example.org/reports/2026/november?from=yesterday', ' 🎉🚀', '\n> who said that?\n\nsomebody did', ' @author1, look']
  return `message number ${n}: ${some}${n % 3 === 0 ? more[(n / 3) % more.length]! : ''}`
}

export interface Author { readonly send: (content: string) => void, readonly acked: () => number, readonly close: () => void }

/** Somebody who comes as a guest. */
export async function author (url: string, username: string): Promise<Author> {
  const answer = await fetch(`${url}/auth/guest`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ username }) })
  const { access_token } = await answer.json() as { access_token: string }
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws?token=${access_token}`)
  await once(socket, 'open')
  let ref = 0
  let acked = 0
  socket.on('message', data => {
    const { type, ref, code } = JSON.parse(String(data)) as { type: string, ref?: number, code?: string }
    if (type === 'error') throw new Error(`refused with ${code}`)
    if (type === 'ack' && ref !== undefined) acked++
  })
  return {
    send (content) { socket.send(JSON.stringify({ type: 'message', ref: ++ref, client_id: randomUUID(), room_id: LOBBY_ID, content })) },
    acked: () => acked,
    close () { socket.terminate() },
  }
}

const allAcked = (authors: readonly Author[]): number => authors.reduce((sum, { acked }) => sum + acked(), 0)

/** So many messages, numbered from 1, as fast as they are taken; resolves when all are acked. */
export async function fill (authors: readonly Author[], messages: number): Promise<void> {
  for (let n = 1; n <= messages; n++) {
    while (n - allAcked(authors) > WINDOW) await sleep(1)
    authors[Math.floor(n / 3) % authors.length]!.send(textOf(n))
  }
  while (allAcked(authors) < messages) await sleep(LOOK_MS)
}

/** At the times at which they are due, whatever comes of them. */
export async function flow (authors: readonly Author[], before: number, perSecond: number, seconds: number): Promise<void> {
  const began = performance.now()
  for (let n = 1; n <= perSecond * seconds; n++) {
    const wait = began + n * 1000 / perSecond - performance.now()
    if (wait > 0) await sleep(wait)
    authors[n % authors.length]!.send(textOf(before + n))
  }
}
