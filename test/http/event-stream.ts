// A reader of server-sent events, as the standard has it, that keeps all it got.
import { once } from 'node:events'
import { get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { checkAnswer, checkReceived } from '../described.ts'
import { until } from '../until.ts'

export interface StreamEvent { type: string, id: string, data: any }

export interface Listening {
  readonly status: number
  readonly body: any
  readonly headers: IncomingHttpHeaders
  readonly events: readonly StreamEvent[]
  readonly retries: readonly number[]
  comments: () => number
  /** ID of the last event that had one. */
  lastId: () => string
  seqs: (room?: string) => number[]
  next: (wanted: (event: StreamEvent) => boolean, timeoutMs?: number) => Promise<StreamEvent>
  pause: () => void
  resume: () => void
  ended: () => boolean
  closed: Promise<void>
  cut: () => void
}

export async function listen (url: string, path: string, { token, headers = {} }: { token?: string, headers?: Record<string, string> } = {}): Promise<Listening> {
  const request = get(new URL(path, url), { agent: false, headers: { accept: 'text/event-stream', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...headers } })
  const [response] = await once(request, 'response') as [IncomingMessage]
  const events: StreamEvent[] = []
  const retries: number[] = []
  let comments = 0
  let text = ''
  let lastId = ''
  let taken = 0
  let ended = false
  request.on('error', () => {})
  response.on('error', () => {})
  const closed = new Promise<void>(resolve => { response.on('close', () => { ended = true; resolve() }) })
  response.setEncoding('utf8')

  if (response.statusCode !== 200) {
    for await (const chunk of response) text += chunk
    const body = JSON.parse(text)
    await checkAnswer('GET', path, { status: response.statusCode!, type: response.headers['content-type']!, body })
    return { status: response.statusCode, body, events, headers: response.headers } as unknown as Listening
  }

  function read (block: string): void {
    let type = 'message'
    let data: string | undefined
    for (const line of block.split('\n')) {
      const colon = line.indexOf(':')
      const [field, value] = [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')]
      if (field === 'event') type = value
      else if (field === 'data') data = value
      else if (field === 'id') lastId = value
      else if (field === 'retry') retries.push(Number(value))
      else if (colon === 0) comments += 1
    }
    if (data === undefined) return
    const frame = JSON.parse(data)
    if (frame.type !== type) throw new Error(`the event ${type} has a frame ${frame.type}`)
    checkReceived(frame)
    events.push({ type, id: lastId, data: frame })
  }

  response.on('data', chunk => {
    text += chunk
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const block = text.slice(0, end)
      text = text.slice(end + 2)
      read(block)
    }
  })

  return {
    status: 200,
    body: undefined as any,
    headers: response.headers,
    events,
    retries,
    comments: () => comments,
    lastId: () => lastId,
    seqs: (room?: string) => events.filter(({ data }) => data.event_id !== undefined && (room === undefined || data.room_id === room)).map(({ data }) => data.seq as number),
    async next (wanted: (event: StreamEvent) => boolean, timeoutMs = 30_000): Promise<StreamEvent> {
      return await until(() => {
        const at = events.findIndex((event, i) => i >= taken && wanted(event))
        if (at < 0) return undefined
        taken = at + 1
        return events[at]
      }, { timeoutMs, what: `an event such that ${wanted}; last came ${JSON.stringify(events.slice(-3))}` }) as StreamEvent
    },
    pause () { response.pause() },
    resume () { response.resume() },
    ended: () => ended,
    closed,
    cut () { request.destroy() },
  }
}
