import t from 'tap'
import { randomUUID } from 'node:crypto'
import type { Request } from '../../src/commands/request.ts'
import type { StoredEvent } from '../../src/domain/events.ts'
import { RANK } from '../../src/domain/permissions.ts'
import { emptyRoom, evolve, memberOf } from '../../src/domain/room.ts'
import { recordOf } from '../../src/commands/room-hashes.ts'
import { decodeEvent } from '../../src/log/codec.ts'
import { testRedis } from '../dev/servers.ts'
import { commandsOver, logWorld } from '../log/world.ts'

const ROUNDS = 12
const PEOPLE = 6
const MESSAGES = 40

type Command = Request['command']

t.test('moderation raced against floods of messages from two gateways takes effect at its place in the log', async t => {
  const server = await testRedis(t)
  const world = await logWorld(t, server.url)
  const gateways = [commandsOver(world), commandsOver(world)]
  const any = () => gateways[Math.floor(Math.random() * 2)]!

  for (let round = 0; round < ROUNDS; round++) {
    const room_id = randomUUID()
    const people = Array.from({ length: PEOPLE }, (_, i) => `person ${i}`)
    await any().run('owner', { type: 'create', room_id, name: 'room', kind: 'public' })
    await any().run('admin', { type: 'join', room_id })
    await any().run('owner', { type: 'role', room_id, target: 'admin', role: 'admin' })
    for (const person of people) await any().run(person, { type: 'join', room_id })

    const floods = people.flatMap(person => Array.from({ length: MESSAGES }, async (_, i) => {
      await pause(i)
      // Whoever was put out tries to come back now and then.
      if (i % 10 === 9) await any().run(person, { type: 'join', room_id })
      return await any().run(person, { type: 'message', room_id, content: `${i}` })
    }))
    const moves: Command[] = people.flatMap((target, i): Command[] => [
      i % 3 === 0 ? { type: 'ban', room_id, target } : i % 3 === 1 ? { type: 'mute', room_id, target } : { type: 'kick', room_id, target },
      { type: 'role', room_id, target, role: i % 2 === 0 ? 'moderator' : 'member' },
    ])
    const moderation = moves.map(async (command, i) => {
      await pause(i * 3)
      return await any().run(i % 2 === 0 ? 'owner' : 'admin', command)
    })
    const outcomes = await Promise.all([...floods, ...moderation])
    t.notOk(outcomes.some(outcome => !outcome.ok && ['internal', 'unavailable', 'overloaded'].includes(outcome.rejection.code)), 'each is done or refused for a reason of chat')

    // The log, read as a stranger would: each event must be allowed by the state that those before it have left.
    const room = emptyRoom(room_id)
    let wrong = 0
    const events = await world.log.read(room_id, 0, 10_000)
    for (const entry of events) {
      const event = decodeEvent(entry) as StoredEvent
      const member = memberOf(room, event.user_id)
      const now = Date.parse(event.timestamp)
      const may = {
        message: RANK[member.role] >= 0 && member.muted_until <= now && member.banned_until <= now,
        join: RANK[member.role] < 0 && member.banned_until <= now,
      }[event.type as 'message' | 'join'] ?? (entry.seq === 1 || RANK[member.role] > ('target' in event && event.target !== undefined ? RANK[memberOf(room, event.target).role] : 0))
      if (!may) wrong += 1
      evolve(room, event, entry.seq)
    }
    t.equal(wrong, 0, 'no message after its sender was put out or muted, no join after a ban, nobody acts on their equals')

    const hashes = await world.log.room(room_id, ['owner', 'admin', ...people])
    for (const [user, record] of hashes!.members) t.equal(record, recordOf(memberOf(room, user)), `the record of ${user} is that of the log`)
    t.equal(Number(hashes!.meta.get('members')), room.count)
    t.equal(Number(hashes!.meta.get('owners')), room.owners)
    t.equal(room.count, [...room.members.values()].filter(({ role }) => RANK[role] >= 0).length)
  }
})

t.test('two owners who go at the same moment leave one of them behind', async t => {
  const server = await testRedis(t)
  const world = await logWorld(t, server.url)
  const [one, two] = [commandsOver(world), commandsOver(world)]
  for (let round = 0; round < 20; round++) {
    const room_id = randomUUID()
    await one.run('ada', { type: 'create', room_id, name: 'room', kind: 'private', members: ['bob'] })
    await one.run('ada', { type: 'role', room_id, target: 'bob', role: 'owner' })
    const step = (target: string): Command => round % 2 === 0 ? { type: 'leave', room_id } : { type: 'role', room_id, target, role: 'member' }
    const outcomes = await Promise.all([one.run('ada', step('ada')), two.run('bob', step('bob'))])
    t.equal(outcomes.filter(({ ok }) => ok).length, 1)
    t.match(outcomes.find(({ ok }) => !ok), { rejection: { code: 'last_owner' } })
  }
})

t.test('a room with a limit never has more members, however many come at once', async t => {
  const server = await testRedis(t)
  const world = await logWorld(t, server.url)
  const gateways = [commandsOver(world), commandsOver(world)]
  const room_id = randomUUID()
  await gateways[0]!.run('owner', { type: 'create', room_id, name: 'room', kind: 'public', members_max: 10 })
  const outcomes = await Promise.all(Array.from({ length: 60 }, async (_, i) => await gateways[i % 2]!.run(`person ${i}`, { type: 'join', room_id })))
  t.equal(outcomes.filter(({ ok }) => ok).length, 9)
  t.notOk(outcomes.some(outcome => !outcome.ok && outcome.rejection.code !== 'room_full'))
})

t.test('of an edit and a delete at the same moment the delete wins, in the log and in whatever reads it', async t => {
  const server = await testRedis(t)
  const world = await logWorld(t, server.url)
  const [one, two] = [commandsOver(world), commandsOver(world)]
  for (let round = 0; round < 30; round++) {
    const room_id = randomUUID()
    await one.run('ada', { type: 'create', room_id, name: 'room', kind: 'public' })
    await one.run('ada', { type: 'message', room_id, content: 'secret one' })
    await Promise.all([
      one.run('ada', { type: 'edit', room_id, message_seq: 2, content: 'secret two' }),
      two.run('ada', { type: 'delete', room_id, message_seq: 2 }),
      one.run('ada', { type: 'edit', room_id, message_seq: 2, content: 'secret three' }),
    ])
    t.match(await one.run('ada', { type: 'edit', room_id, message_seq: 2, content: 'secret four' }), { rejection: { code: 'message_deleted' } })
    t.match(await two.run('ada', { type: 'delete', room_id, message_seq: 2 }), { ok: true, changed: false })
    const events = (await world.log.read(room_id, 0, 100)).map(decodeEvent)
    t.equal(events.filter(({ type }) => type === 'delete').length, 1)
    t.notMatch(JSON.stringify(events), 'secret')
    t.match(events[1], { type: 'message', content: '', deleted: true })
    const last = events.at(-1)!
    t.equal(last.type, 'delete', 'no edit comes after it')
  }
})

async function pause (ms: number): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, ms * Math.random()))
}
