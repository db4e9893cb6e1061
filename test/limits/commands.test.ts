import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Outcome, Request } from '../../src/commands/request.ts'
import { reject } from '../../src/domain/rejections.ts'
import { limitCommands } from '../../src/limits/commands.ts'
import { testRedis } from '../dev/servers.ts'
import { gatewayLimits } from './gateways.ts'

const server = await testRedis(t)

/** Commands that note what is handed on, and answer as told. */
async function world (t: { teardown: (fn: () => unknown) => unknown }, env: Record<string, string | number>, outcomeOf: (request: Request) => Partial<Outcome> = () => ({})) {
  const handedOn: Request[] = []
  const limits = await gatewayLimits(t, server.url, env)
  const commands = limitCommands({
    limits,
    commands: {
      async execute (request) {
        handedOn.push(request)
        await sleep(1)
        const { room_id } = request.command
        return { ok: true, changed: true, room_id, seq: 1, chain: '0', event_id: 'e', duplicate: false, durability: 'memory', ...outcomeOf(request) } as Outcome
      },
    },
  })
  const send = async (user_id: string, room_id: string, content = '', session = user_id): Promise<Outcome> => await commands.execute({ command: { type: 'message', room_id, content }, user_id, session })
  return { ...commands, limits, send, handedOn, contents: () => handedOn.map(({ command }) => 'content' in command ? command.content : command.type) }
}

const isOk = ({ ok }: Outcome): boolean => ok

t.test('commands of a session are handed on in the order sent, also while tokens are fetched', async t => {
  const { send, execute, contents } = await world(t, { SENDS_PER_SECOND: 40, SENDS_BURST: 10_000, ROOM_SENDS_PER_SECOND: 40, ROOM_SENDS_BURST: 10_000 })
  const [user, room] = [randomUUID(), randomUUID()]
  const all: Array<Promise<Outcome>> = []
  const wanted: string[] = []
  for (let i = 0; i < 600; i++) { // 60 fetches of 10, in the midst of it
    wanted.push(i % 50 === 7 ? 'pin' : String(i))
    all.push(i % 50 === 7
      ? execute({ command: { type: 'pin', room_id: room, message_seq: 1 }, user_id: user, session: 's' })
      : send(user, room, String(i), 's'))
    if (i % 3 === 0) await Promise.resolve()
    if (i % 40 === 0) await sleep(2)
  }
  t.ok((await Promise.all(all)).every(isOk))
  t.same(contents(), wanted)
})

t.test('with tokens at hand a command is handed on at once', async t => {
  const { send, handedOn } = await world(t, { SENDS_PER_SECOND: 1000, SENDS_BURST: 1000 })
  const [user, room] = [randomUUID(), randomUUID()]
  await send(user, room)
  const second = send(user, room)
  t.equal(handedOn.length, 2)
  await second
})

t.test('what is too much is rate_limited and not handed on; after the wait it is', async t => {
  const { send, handedOn } = await world(t, { SENDS_PER_SECOND: 10, SENDS_BURST: 5 })
  const [user, room] = [randomUUID(), randomUUID()]
  const outcomes = await Promise.all(Array.from({ length: 30 }, async () => await send(user, room)))
  t.equal(outcomes.filter(isOk).length, 5)
  t.equal(handedOn.length, 5)
  const last = outcomes.at(-1)!
  const waitMs = last.ok ? 0 : last.rejection.retry_after_ms ?? 0
  t.match(last, { rejection: { code: 'rate_limited' } })
  t.ok(waitMs > 0 && waitMs <= 100, `${waitMs} ms`)
  await sleep(waitMs + 1)
  t.ok(isOk(await send(user, room)))
  t.ok(isOk(await send(randomUUID(), room)), 'somebody else was never kept')
})

t.test('a room takes so many from all its users; who is refused for it keeps their own tokens', async t => {
  const { send, limits } = await world(t, { SENDS_PER_SECOND: 1, SENDS_BURST: 8, ROOM_SENDS_PER_SECOND: 1, ROOM_SENDS_BURST: 10 })
  const users = [randomUUID(), randomUUID(), randomUUID()]
  const [room, another] = [randomUUID(), randomUUID()]
  const outcomes = await Promise.all(users.flatMap(user => Array.from({ length: 6 }, async () => await send(user, room))))
  t.equal(outcomes.filter(isOk).length, 10)
  t.equal(await limits.counted('rateLimited', 'room_sends'), 8)
  const elsewhere = await Promise.all(Array.from({ length: 8 }, async () => await send(users[2]!, another)))
  t.ok(elsewhere.filter(isOk).length >= 8 - outcomes.slice(12).filter(isOk).length)
})

t.test('those whom a room refuses cannot use up its tokens', async t => {
  const strangers = Array.from({ length: 10 }, () => String(randomUUID()))
  const { send } = await world(t, { ROOM_SENDS_PER_SECOND: 1, ROOM_SENDS_BURST: 50 }, ({ user_id }) => strangers.includes(user_id) ? { ok: false, rejection: reject('not_member') } : {})
  const room = randomUUID()
  for (const stranger of strangers) {
    const outcomes = await Promise.all(Array.from({ length: 40 }, async () => await send(stranger, room)))
    t.ok(outcomes.every(outcome => !outcome.ok && outcome.rejection.code === 'not_member'))
  }
  const members = await Promise.all(Array.from({ length: 50 }, async () => await send(randomUUID(), room)))
  t.equal(members.filter(isOk).length, 50)
})

t.test('edits, deletes and reactions count as sends, joins and leaves as requests, the rest not at all', async t => {
  const { execute } = await world(t, { SENDS_BURST: 4, SENDS_PER_SECOND: 1, REQUESTS_BURST: 2, REQUESTS_PER_SECOND: 1 })
  const room_id = randomUUID()
  const by = { user_id: randomUUID(), session: 's' }
  const run = async (command: Request['command']): Promise<boolean> => isOk(await execute({ ...by, command }))
  t.ok(await run({ type: 'edit', room_id, message_seq: 1, content: 'x' }))
  t.ok(await run({ type: 'delete', room_id, message_seq: 1 }))
  t.ok(await run({ type: 'react', room_id, message_seq: 1, emoji: '👍' }))
  t.ok(await run({ type: 'unreact', room_id, message_seq: 1, emoji: '👍' }))
  t.notOk(await run({ type: 'message', room_id, content: 'x' }))
  t.same([await run({ type: 'join', room_id }), await run({ type: 'leave', room_id }), await run({ type: 'join', room_id })], [true, true, false])
  for (let i = 0; i < 10; i++) t.ok(await run({ type: 'kick', room_id, target: 'x' }))
})

t.test('only so many stand behind one that waits for tokens', async t => {
  const { send, handedOn } = await world(t, { SENDS_PER_SECOND: 1000, SENDS_BURST: 10_000, ROOM_SENDS_BURST: 100_000 })
  const [user, room] = [randomUUID(), randomUUID()]
  const outcomes = await Promise.all(Array.from({ length: 1200 }, async () => await send(user, room)))
  t.equal(outcomes.filter(isOk).length, 1001)
  t.equal(handedOn.length, 1001)
  t.match(outcomes.at(-1), { rejection: { code: 'rate_limited', retry_after_ms: 1000 } })
})
