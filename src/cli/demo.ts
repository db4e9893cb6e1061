/**
 * `millrace demo`: two people talk over WebSocket, one is cut off mid-sentence and comes back with the last position; what was
 * missed is shown arriving, each with its `seq`. Speaks the public protocol only (docs/PROTOCOL.md), with the WebSocket of Node.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config.ts'
import { CommandFailed, UsageError } from './errors.ts'
import { reachGateway } from './reach.ts'

interface Frame { type: string, seq: number, chain: string, content?: string, user_id?: string, code?: string, [field: string]: unknown }
interface Person { name: string, id: string, token: string }

const ANSWER_MS = 10_000
const LINE_MS = 350

const dim = (text: string): string => `\x1b[2m${text}\x1b[0m`
const bold = (text: string): string => `\x1b[1m${text}\x1b[0m`
const print = (line: string): void => { process.stdout.write(`${process.stdout.isTTY ? line : line.replace(/\x1b\[\d+m/g, '')}\n`) } // eslint-disable-line no-control-regex

export async function demoCommand (args: string[], config: Config): Promise<number> {
  if (args.length > 1 || (args[0] !== undefined && !/^https?:\/\//.test(args[0]))) throw new UsageError('Say at most the URL of a server.')
  const url = (args[0] ?? reachGateway(config)).replace(/\/$/, '')
  const [ada, bob] = await Promise.all([guest(url, 'ada'), guest(url, 'bob')])
  const names = new Map([[ada.id, ada.name], [bob.id, bob.name]])
  const { id: room } = await post(url, '/rooms', { name: 'demo', kind: 'public' }, ada.token) as { id: string }
  await post(url, `/rooms/${room}/join`, {}, bob.token)
  print(`${bold(ada.name)} and ${bold(bob.name)} are in room ${room} on ${url}\n`)

  const shown = (frame: Frame): string => `seq ${String(frame.seq).padStart(3)}  ${frame.chain}  ${names.get(frame.user_id ?? '') ?? ''}: ${frame.content ?? frame.type}`
  const first = await join(url, ada.token, room, undefined)
  let second = await join(url, bob.token, room, undefined)
  const talk = async (connection: Connection, line: string): Promise<void> => {
    const { seq } = await connection.say(line)
    if (second.open()) print(`  ${shown(await second.event(seq))}`)
    await sleep(LINE_MS)
  }
  await talk(first, 'Did you see the log of the mill?')
  await talk(second, 'Which one?')
  await talk(first, 'The one where every event has a place.')

  const position = second.position()
  print(`\n${bold(bob.name)} is cut off after seq ${position.seq}, ${dim('mid-sentence: the message goes out, the ack never arrives')}`)
  const lost = { client_id: randomUUID(), content: 'So when I lose my conn' }
  second.cut(lost, room)
  for (const line of ['Bob?', 'It does not matter: the log goes on without you.', 'Five', 'Four', 'Three', 'Two', 'One']) {
    const { seq } = await first.say(line)
    print(dim(`  seq ${String(seq).padStart(3)}  ${ada.name}: ${line}   (bob is away)`))
    await sleep(LINE_MS / 2)
  }

  print(`\n${bold(bob.name)} comes back: ${dim(`hello with resume {seq: ${position.seq}, chain: ${position.chain}}`)}`)
  second = await join(url, bob.token, room, position)
  for (const event of second.missed()) print(`  ${shown(event)}`)
  const ack = await second.say(lost.content, lost.client_id)
  print(`  ${dim(`sent again under the same client_id: ${ack.duplicate === true ? `it had arrived, as seq ${ack.seq}; nothing is doubled` : `it had not arrived; now it has, as seq ${ack.seq}`}`)}`)
  const seqs = second.missed().map(({ seq }) => seq)
  const whole = seqs.every((seq, i) => seq === position.seq + 1 + i) && seqs.length >= 7
  print(whole ? `\nNothing missing, nothing twice: ${seqs.length} missed events, seq ${seqs[0]} to ${seqs.at(-1)}, then live at ${second.liveAt()}.` : `\nThis must not happen: after seq ${position.seq} came ${seqs.join(', ')}`)
  first.close()
  second.close()
  return whole ? 0 : 1
}

async function guest (url: string, name: string): Promise<Person> {
  const username = `${name}-${randomUUID().slice(0, 6)}`
  const { user, access_token } = await post(url, '/auth/guest', { username }) as { user: { id: string }, access_token: string }
  return { name: username, id: user.id, token: access_token }
}

async function post (url: string, path: string, body: object, token?: string): Promise<unknown> {
  let answer
  try {
    answer = await fetch(url + path, { method: 'POST', headers: { 'content-type': 'application/json', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }, body: JSON.stringify(body), signal: AbortSignal.timeout(ANSWER_MS) })
  } catch (error) {
    throw new CommandFailed(`${url} does not answer (${(error as { cause?: Error }).cause?.message ?? (error as Error).message}): is Millrace running?`)
  }
  const json = await answer.json() as { code?: string, detail?: string }
  if (!answer.ok) throw new CommandFailed(`${path} was refused: ${json.code ?? answer.status} ${json.detail ?? ''}`)
  return json
}

type Connection = Awaited<ReturnType<typeof join>>

/** Connects, says hello, and is live in the room: from its head, or from the position. */
async function join (url: string, token: string, room: string, after: { seq: number, chain: string } | undefined) {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws`, 'millrace.v1')
  const frames: Frame[] = []
  const waiters = new Set<() => void>()
  let position = after ?? { seq: 0, chain: '' }
  let ref = 0
  const wake = (): void => { for (const waiter of waiters) waiter() }
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(String(data)) as Frame
    frames.push(frame)
    if (frame.event_id !== undefined && frame.type !== 'ack') position = { seq: frame.seq, chain: frame.chain }
    if (frame.type === 'live') position = { seq: frame.seq, chain: frame.chain }
    wake()
  }
  socket.onclose = wake
  const next = async (wanted: (frame: Frame) => boolean): Promise<Frame> => await new Promise((resolve, reject) => {
    const timer = setTimeout(() => { waiters.delete(look); reject(new CommandFailed('The server did not answer in time.')) }, ANSWER_MS)
    function look (): void {
      const frame = frames.find(wanted)
      if (frame === undefined && socket.readyState !== WebSocket.CLOSED) return
      clearTimeout(timer)
      waiters.delete(look)
      if (frame === undefined) reject(new CommandFailed('The server closed the connection.'))
      else resolve(frame)
    }
    waiters.add(look)
    look()
  })
  const send = (frame: object): void => { socket.send(JSON.stringify(frame)) }

  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = () => { reject(new CommandFailed(`No WebSocket at ${url}/ws.`)) } })
  send({ type: 'hello', token, resume: after === undefined ? {} : { rooms: { [room]: after } } })
  await next(({ type }) => type === 'welcome')
  if (after === undefined) send({ type: 'subscribe', room_id: room })
  const live = await next(({ type }) => type === 'live')
  const isEvent = ({ type, event_id }: Frame): boolean => event_id !== undefined && type !== 'ack'
  return {
    position: () => position,
    open: () => socket.readyState === WebSocket.OPEN,
    liveAt: () => live.seq,
    missed: () => frames.slice(0, frames.indexOf(live)).filter(isEvent),
    event: async (seq: number) => await next(frame => isEvent(frame) && frame.seq === seq),
    async say (content: string, client_id: string = randomUUID()) {
      const mine = ++ref
      send({ type: 'message', room_id: room, content, client_id, ref: mine })
      const answer = await next(frame => frame.ref === mine)
      if (answer.type === 'error') throw new CommandFailed(`A message was refused: ${answer.code}`)
      return answer
    },
    /** Sends one more message and goes away without waiting for its ack. */
    cut (message: object, room_id: string) {
      socket.onmessage = null
      send({ type: 'message', room_id, ...message })
      socket.close()
    },
    close: () => { socket.close() },
  }
}
