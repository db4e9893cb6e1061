// One room's feed against a server that is simulated whole: a log that may part, a pipe that delays and loses frames, subscriptions that
// overtake each other. Readers come and go wherever they like. Whatever happens, each has the log in the end, from where it began.
import t from 'tap'
import { mock } from 'node:test'
import fc from 'fast-check'
import { Feed } from '../../src/client/feed.ts'
import type { Frame, Position } from '../../src/client/frames.ts'
import type { Reader } from '../../src/client/reader.ts'

const BASE = { baseMs: 100, capMs: 1000 }

function server () {
  let log: Position[] = []
  let branch = 0
  let isSubscribed = false
  let pipe: Frame[] = []
  const event = ({ seq, chain }: Position): Frame => ({ type: 'message', room_id: 'room', seq, chain, event_id: chain })
  const head = (): Position => log.at(-1) ?? { seq: 0, chain: 'start' }
  const stands = ({ seq, chain }: Position): boolean => seq === 0 || (seq <= log.length && (chain === undefined || log[seq - 1]!.chain === chain))
  return {
    get log () { return log },
    get pipe () { return pipe },
    heartbeat () { if (isSubscribed) pipe.push({ type: 'heartbeat', seq: head().seq }) },
    append (times: number) {
      for (let i = 0; i < times; i++) {
        log.push({ seq: log.length + 1, chain: `${branch}-${log.length + 1}` })
        if (isSubscribed) pipe.push(event(head()))
      }
    },
    /** What is after `seq` is lost, and other things happen. */
    part (seq: number) {
      log = log.slice(0, seq)
      branch++
      if (isSubscribed) pipe.push({ type: 'reset', room_id: 'room', reason: 'parted', ...head() })
    },
    hear (frame: Frame): boolean {
      isSubscribed = frame.type === 'subscribe'
      if (!isSubscribed) return true
      pipe.push({ type: 'ack', ref: frame.ref, room_id: 'room', ...head() })
      const claimed: Position[] = frame.after === undefined ? [head()] : [frame.after, ...frame.after.also ?? []]
      const common = claimed.filter(stands).sort((a, b) => b.seq - a.seq)[0] ?? { seq: 0 }
      const at: Position = common.seq === 0 ? { seq: 0, chain: 'start' } : log[common.seq - 1]!
      if (frame.after !== undefined && common.seq !== frame.after.seq) pipe.push({ type: 'reset', room_id: 'room', reason: 'parted', ...at })
      if (at.seq < head().seq) pipe.push({ type: 'sync', room_id: 'room', from: at.seq, to: head().seq, source: 'log' })
      pipe.push(...log.slice(at.seq).map(event), { type: 'live', room_id: 'room', ...head() })
      return true
    },
    cut () {
      isSubscribed = false
      pipe = []
    },
  }
}

/** Somebody who reads, and what they hold. */
function reader (at: Position | undefined, problems: string[]) {
  let held: Frame[] = []
  let start = at?.seq
  const mine: Reader & { held: () => readonly Frame[], start: () => number | undefined, isFull: boolean } = {
    at,
    done: at,
    follows: true,
    isFull: false,
    get hasRoom () { return !mine.isFull },
    held: () => held,
    start: () => start,
    take (event) {
      const before = held.at(-1)?.seq ?? start
      if (before !== undefined && event.seq !== before + 1) problems.push(`${event.seq} after ${before}`)
      start ??= event.seq - 1
      mine.at = mine.done = event
      held.push(event as unknown as Frame)
    },
    reset (reset) {
      held = held.filter(({ seq }) => seq <= reset.seq)
      if (start !== undefined && reset.seq < start) start = reset.seq
      mine.at = mine.done = reset
    },
    fail (error) { problems.push(error.message) },
  }
  return mine
}

type Act = ['append', number] | ['deliver', number] | ['lose', number] | ['join', number | undefined] | ['leave', number] | ['full', number] | ['cut', boolean] | ['part', number] | ['wait', number]

const acts = fc.array(fc.oneof<Array<fc.Arbitrary<Act>>>(
  fc.tuple(fc.constant('append'), fc.integer({ min: 1, max: 20 })) as fc.Arbitrary<Act>,
  fc.tuple(fc.constant('deliver'), fc.integer({ min: 1, max: 40 })) as fc.Arbitrary<Act>,
  fc.tuple(fc.constant('deliver'), fc.integer({ min: 1, max: 40 })) as fc.Arbitrary<Act>,
  fc.tuple(fc.constant('lose'), fc.integer({ min: 1, max: 3 })) as fc.Arbitrary<Act>,
  fc.tuple(fc.constant('join'), fc.option(fc.nat({ max: 50 }), { nil: undefined })) as fc.Arbitrary<Act>,
  fc.tuple(fc.constant('leave'), fc.nat({ max: 5 })) as fc.Arbitrary<Act>,
  fc.tuple(fc.constant('full'), fc.nat({ max: 5 })) as fc.Arbitrary<Act>,
  fc.tuple(fc.constant('cut'), fc.boolean()) as fc.Arbitrary<Act>,
  fc.tuple(fc.constant('part'), fc.nat({ max: 60 })) as fc.Arbitrary<Act>,
  fc.tuple(fc.constant('wait'), fc.integer({ min: 1, max: 6000 })) as fc.Arbitrary<Act>
), { maxLength: 60 })

/** Runs the acts, mends everything, and says what is wrong then. */
function play (script: readonly Act[]): string[] {
  mock.timers.enable({ apis: ['setTimeout'] })
  const problems: string[] = []
  const told = server()
  let isUp = true
  let refs = 0
  let readers: Array<ReturnType<typeof reader>> = []
  const feed = new Feed({
    roomId: 'room',
    stored: undefined,
    send: frame => isUp && told.hear(frame),
    nextRef: () => ++refs,
    backOff: BASE,
    random: () => 0.5,
    onChange () {},
    onReset () {},
    onDenied () {},
  })
  const deliver = (): void => {
    const frame = told.pipe.shift()
    if (frame?.type === 'heartbeat') feed.head(frame.seq)
    else if (frame !== undefined) feed.onFrame(frame)
  }
  const connect = (): void => {
    isUp = true
    if (feed.isWanted && feed.status === 'off') feed.subscribe()
  }
  for (const [act, n] of script) {
    switch (act) {
      case 'append': told.append(n); break
      case 'deliver': for (let i = 0; i < n; i++) deliver(); break
      case 'lose': {
        const lost = told.pipe.findIndex(({ type }) => type !== 'reset')
        if (lost >= 0) told.pipe.splice(lost, n)
        break
      }
      case 'join': {
        const at = n === undefined ? feed.position : told.log[n - 1] ?? { seq: 0 }
        const mine = reader(at, problems)
        readers.push(mine)
        feed.add(mine)
        if (mine.at !== undefined && at === undefined) mine.reset({ type: 'reset', room_id: 'room', reason: 'parted', ...mine.at } as never)
        break
      }
      case 'leave': {
        const mine = readers[n]
        readers = readers.filter(other => other !== mine)
        if (mine !== undefined) feed.remove(mine)
        break
      }
      case 'full': {
        const mine = readers[n]
        if (mine === undefined) break
        mine.isFull = !mine.isFull
        feed.progress()
        break
      }
      case 'cut':
        isUp = false
        told.cut()
        feed.lost()
        if (n) connect()
        break
      case 'part': told.part(Math.min(n, told.log.length)); break
      case 'wait': mock.timers.tick(n)
    }
  }
  for (const mine of readers) mine.isFull = false
  feed.progress()
  if (!isUp) connect()
  for (let i = 0; i < 6; i++) {
    while (told.pipe.length > 0) deliver()
    told.heartbeat()
    while (told.pipe.length > 0) deliver()
    mock.timers.tick(6000)
  }
  mock.timers.reset()
  for (const [i, mine] of readers.entries()) {
    const got = mine.held().map(({ chain }) => chain)
    const wanted = told.log.slice(mine.start() ?? told.log.length).map(({ chain }) => chain)
    if (got.join() !== wanted.join()) problems.push(`reader ${i}, from ${mine.start()}, has ${got} instead of ${wanted}`)
  }
  if (readers.length > 0 && feed.status !== 'live') problems.push(`it is ${feed.status}`)
  return problems
}

t.test('whatever is lost, cut, parted or paused, each reader has the log in the end, from where it began', async t => {
  const runs = Number(process.env.CLIENT_FEED_RUNS ?? 2000)
  fc.assert(fc.property(acts, script => {
    const problems = play(script)
    if (problems.length > 0) throw new Error(problems.join('\n'))
  }), { numRuns: runs })
  t.pass(`${runs} runs`)
})
