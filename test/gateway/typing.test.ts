// Who is typing, with a clock that the test turns: what others are told, and that it is bounded.
import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Reading } from '../../src/commands/access.ts'
import { emptyRoom, STRANGER } from '../../src/domain/room.ts'
import { reject } from '../../src/domain/rejections.ts'
import { createReadings } from '../../src/gateway/readings.ts'
import { createTyping } from '../../src/gateway/typing.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { until } from '../until.ts'

const ADA = { id: 'c1', userId: 'ada' }

function played (t: { teardown: (fn: () => unknown) => unknown }, reading: Partial<Extract<Reading, { allowed: true }>> | Extract<Reading, { allowed: false }> = {}) {
  const state = { now: 1_000_000, asked: 0, fails: false, blocked: false }
  const told: Array<[room: string, user: string, active: boolean, except: readonly string[]]> = []
  const metrics = createMetrics('test')
  const answer: Reading = 'allowed' in reading && !reading.allowed
    ? reading as Extract<Reading, { allowed: false }>
    : { allowed: true, room: { ...emptyRoom('r'), kind: 'private' }, member: { ...STRANGER, role: 'member' }, inside: true, from: 0, ...reading } as Reading
  const access = {
    reading: async () => {
      state.asked += 1
      if (state.fails) throw new Error('away')
      return answer
    },
    readings: async () => new Map(),
  }
  const typing = createTyping({
    readings: createReadings({ access, clock: () => state.now }),
    publisher: { toRoom: (room, frame, except = []) => { const { user_id, active } = frame as { user_id: string, active: boolean }; told.push([room, user_id, active, except]) }, toUser () {} },
    blocked: async () => state.blocked,
    clock: () => state.now,
    metrics,
  })
  t.teardown(() => { typing.stop() })
  /** Lets the tick run at a later time. */
  const pass = async (ms: number): Promise<void> => {
    state.now += ms
    await sleep(300)
  }
  return { typing, told, state, metrics, pass }
}

t.test('it is told once in two seconds, with what the person does then', async t => {
  const { typing, told, state, pass } = played(t)
  t.equal(await typing.heard(ADA, 'r', true), undefined)
  await typing.heard(ADA, 'r', true)
  await typing.heard(ADA, 'r', false)
  await typing.heard(ADA, 'r', true)
  t.same(told, [['r', 'ada', true, ['c1']]])
  await pass(2000)
  t.equal(told.length, 1, 'nothing new to tell')
  await typing.heard({ id: 'c2', userId: 'ada' }, 'r', true)
  t.same(told[1], ['r', 'ada', true, ['c2']], 'said again, for those who have come; the device is another')
  await typing.heard(ADA, 'r', false)
  t.equal(told.length, 2)
  await pass(2000)
  t.same(told.slice(2), [['r', 'ada', false, ['c1']]])
  await pass(2000)
  t.equal(typing.size(), 0)
  t.equal(state.asked, 1)
  await typing.heard(ADA, 'r', false)
  t.equal(state.asked, 2, 'access is asked once in a few seconds')
})

t.test('silence, the message and the end of the socket are the end of it', async t => {
  const { typing, told, pass } = played(t)
  const ends: Array<[string, () => void | Promise<void>]> = [
    ['silence', async () => { await pass(5900); t.equal(told.length, 1); await pass(200) }],
    ['the message', async () => { await pass(2000); typing.wrote(ADA, 'r') }],
    ['the socket', async () => { await pass(2000); typing.left(ADA) }],
  ]
  for (const [what, end] of ends) {
    told.length = 0
    await typing.heard(ADA, 'r', true)
    await end()
    await until(() => told.length === 2)
    t.same(told.map(([, , active]) => active), [true, false], what)
    await pass(2000)
    t.equal(typing.size(), 0)
  }
  told.length = 0
  typing.wrote(ADA, 'r')
  typing.left(ADA)
  await typing.heard(ADA, 'r', false)
  t.same([told.length, typing.size()], [0, 0], 'who was not typing has not stopped')
})

t.test('only those who may write', async t => {
  const cases: Array<[string, Parameters<typeof played>[1]]> = [
    ['room_not_found', { allowed: false, rejection: reject('room_not_found') }],
    ['not_member', { inside: false, member: STRANGER }],
    ['muted', { member: { ...STRANGER, role: 'member', muted_until: 2_000_000 } }],
    ['room_archived', { room: { ...emptyRoom('r'), archived: true } }],
    ['forbidden', { room: { ...emptyRoom('r'), kind: 'inbox' } }],
  ]
  for (const [code, reading] of cases) {
    const { typing, told } = played(t, reading)
    t.match(await typing.heard(ADA, 'r', true), { code })
    t.same([told.length, typing.size()], [0, 0], code)
  }
  const { typing, state } = played(t)
  state.fails = true
  await t.rejects(typing.heard(ADA, 'r', true), 'a fault is not kept')
  state.fails = false
  t.equal(await typing.heard(ADA, 'r', true), undefined)
  t.match(await typing.heard({ id: 'c', userId: undefined }, 'r', true), { code: 'unauthenticated' })
})

t.test('what is kept in mind is bounded', async t => {
  const { typing, told, metrics, pass } = played(t)
  for (let i = 0; i < 10_010; i++) await typing.heard({ id: `c${i}`, userId: `u${i}` }, 'r', true)
  t.same([typing.size(), told.length], [10_000, 10_000])
  t.equal((await metrics.ephemeralDropped.get()).values[0]!.value, 10)
  await pass(6000)
  await pass(2000)
  await until(() => typing.size() === 0)
})
