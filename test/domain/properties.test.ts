// What holds after any sequence of commands by anyone: counts, owners, bans, rules, idempotence, secrecy, and that a decision rests on
// no more than what it says it does.
import assert from 'node:assert/strict' // it throws, so that a failing walk is made as short as it can be
import fc from 'fast-check'
import t from 'tap'
import type { Command, Facts, MessageFact } from '../../src/domain/commands.ts'
import { decide, guards } from '../../src/domain/decide.ts'
import { ROLES, ROOM_KINDS, type EventBody } from '../../src/domain/events.ts'
import { RANK } from '../../src/domain/permissions.ts'
import { reject } from '../../src/domain/rejections.ts'
import { effectsOf, emptyRoom, evolve, FOREVER, isKnown, isMember, memberOf, mayRead, setMeta, STRANGER, type Happening, type Member, type MetaField, type Role, type Room } from '../../src/domain/room.ts'
import { NOW, ROOM } from './given.ts'

const RUNS = { numRuns: 400 }
const PEOPLE = ['ann', 'bob', 'eve', 'joe', ROOM] // ROOM: whose inbox it would be
const MINUTE_MS = 60_000

const user = fc.constantFrom(...PEOPLE)
const seq = fc.integer({ min: 0, max: 14 })
const until = fc.option(fc.integer({ min: -1, max: 5 }).map(minutes => new Date(NOW + minutes * MINUTE_MS).toISOString()), { nil: undefined })
const reason = fc.option(fc.constant('why'), { nil: undefined, freq: 3 })
const settings = { topic: fc.constantFrom('', 'x'), history: fc.constantFrom('all' as const, 'joined' as const), members_max: fc.integer({ min: 1, max: 6 }), message_chars_max: fc.constantFrom(1, 8000), slow_mode_s: fc.nat(1), archived: fc.boolean() }
const some = <T, K extends keyof T>(record: { [P in keyof T]: fc.Arbitrary<T[P]> }, ...requiredKeys: K[]) => fc.record(record, { requiredKeys, noNullPrototype: true }) as fc.Arbitrary<Pick<T, K> & Partial<T>>

const to = { room_id: fc.constant(ROOM) }
const wish: fc.Arbitrary<Command> = fc.oneof(
  { arbitrary: fc.record({ ...to, type: fc.constant('message' as const), content: fc.constantFrom('x', '@bob', '@room', 'long') }), weight: 8 },
  some({ ...to, type: fc.constant('message' as const), content: fc.constant('x'), reply_to: seq, thread: seq }, 'room_id', 'type', 'content'),
  fc.record({ ...to, type: fc.constant('edit' as const), message_seq: seq, content: fc.constantFrom('y', '@eve') }),
  { arbitrary: fc.record({ ...to, type: fc.constantFrom('delete' as const, 'pin' as const, 'unpin' as const), message_seq: seq }), weight: 2 },
  fc.record({ ...to, type: fc.constantFrom('react' as const, 'unreact' as const), message_seq: seq, emoji: fc.constantFrom('👍', '❤', '❤️', 'a') }),
  { arbitrary: fc.record({ ...to, type: fc.constantFrom('join' as const, 'join' as const, 'leave' as const) }), weight: 6 },
  { arbitrary: fc.record({ ...to, type: fc.constantFrom('add' as const, 'unban' as const, 'unmute' as const), target: user }), weight: 3 },
  fc.record({ ...to, type: fc.constant('kick' as const), target: user, reason }),
  { arbitrary: fc.record({ ...to, type: fc.constantFrom('ban' as const, 'mute' as const), target: user, until, reason }), weight: 3 },
  { arbitrary: fc.record({ ...to, type: fc.constant('role' as const), target: user, role: fc.constantFrom(...ROLES) }), weight: 3 },
  some({ ...to, type: fc.constant('update' as const), name: fc.constantFrom('x', 'y'), ...settings }, 'room_id', 'type') as fc.Arbitrary<Command>,
  { arbitrary: fc.record({ ...to, type: fc.constant('inform' as const), event: fc.constantFrom('added' as const, 'mentioned' as const) }) as fc.Arbitrary<Command>, weight: 1 }
)
const kind = fc.constantFrom(...ROOM_KINDS, 'public', 'private', 'group', 'group', 'protected')
const creation = kind.chain(kind => some({
  ...to,
  type: fc.constant('create' as const),
  name: fc.constant('x'),
  kind: fc.constant(kind),
  members: kind === 'dm' ? fc.shuffledSubarray(PEOPLE, { minLength: 2, maxLength: 2 }) : fc.subarray(PEOPLE, { minLength: ['public', 'lobby', 'inbox'].includes(kind) ? 0 : 2, maxLength: ['public', 'lobby', 'inbox'].includes(kind) ? 0 : 4 }),
  ...settings,
  archived: fc.constant(false),
}, 'room_id', 'type', 'name', 'kind', ...(kind === 'dm' ? ['members' as const] : []))) as fc.Arbitrary<Command & { type: 'create' }>

interface Step { command: Command, actor: string, admitted: boolean, mentions: string[], minutes: number }
const step = (command: fc.Arbitrary<Command>): fc.Arbitrary<Step> => fc.record({ command, actor: fc.constantFrom('ann', 'ann', 'ann', 'bob', 'bob', ...PEOPLE), admitted: fc.boolean(), mentions: fc.subarray(PEOPLE), minutes: fc.constantFrom(0, 0, 0, 1, 3) })
const walk = fc.tuple(step(creation), fc.array(step(fc.oneof({ arbitrary: wish, weight: 60 }, { arbitrary: fc.constant({ type: 'remove' as const, room_id: ROOM }), weight: 1 })), { minLength: 10, maxLength: 60, size: 'max' }))

/** A room in the making, with the messages that were said in it. */
interface World { room: Room | undefined, now: number, messages: Map<number, MessageFact>, log: Happening[] }

function factsOf ({ messages }: World, { admitted, mentions }: Step): Facts {
  return { messages, mentions, ...(admitted ? { admitted } : {}) }
}

/** Takes a step: the events of it if it was accepted, undefined if not. @param see told of each event, before and after */
function take (world: World, taken: Step, see: (event: Happening, before: Room, after: Room) => void = () => {}): EventBody[] | undefined {
  world.now += taken.minutes * MINUTE_MS
  const decision = decide(taken.command, world.room, taken.actor, world.now, factsOf(world, taken))
  if ('rejection' in decision) return undefined
  for (const body of decision.events) {
    const event = { ...body, user_id: taken.actor }
    world.room ??= emptyRoom(ROOM)
    const before = structuredClone(world.room)
    evolve(world.room, event, world.room.seq + 1)
    if (event.type === 'message') world.messages.set(world.room.seq, { author: event.user_id, deleted: false, ...(event.thread === undefined ? {} : { thread: event.thread }) })
    if (event.type === 'delete') world.messages.set(event.message_seq, { ...world.messages.get(event.message_seq)!, deleted: true })
    world.log.push(event)
    see(event, before, world.room)
  }
  return decision.events
}

const newWorld = (): World => ({ room: undefined, now: NOW, messages: new Map(), log: [] })
/** The world after a walk. */
function walked ([first, steps]: [Step, Step[]]): World {
  const world = newWorld()
  for (const taken of [first, ...steps]) take(world, taken)
  return world
}

t.test('the walks go everywhere: every command is accepted in some of them, and refused in some', async t => {
  const seen = { yes: new Set<string>(), no: new Set<string>() }
  fc.assert(fc.property(walk, ([first, steps]) => {
    const world = newWorld()
    for (const taken of [first, ...steps]) seen[(take(world, taken)?.length ?? 0) > 0 ? 'yes' : 'no'].add(taken.command.type)
  }), { numRuns: 6000 })
  t.equal(seen.yes.size, 20, [...seen.yes].join())
  t.equal(seen.no.size, 20, [...seen.no].join())
})

/** Who is in and with which role, as one would count it on one's fingers. */
function fingers (log: readonly Happening[]): Map<string, Role> {
  const roles = new Map<string, Role>()
  for (const event of log) {
    if (event.type === 'room' && event.change === 'created') {
      if (event.kind === 'dm') for (const one of event.members!) roles.set(one, 'member')
      else if (event.kind !== 'lobby' && event.kind !== 'inbox') roles.set(event.user_id, 'owner')
    } else if (event.type === 'join') roles.set(event.target ?? event.user_id, 'member')
    else if (event.type === 'leave') roles.delete(event.user_id)
    else if (event.type === 'kick' || (event.type === 'ban' && event.lifted === undefined)) roles.delete(event.target)
    else if (event.type === 'role') roles.set(event.target, event.role)
  }
  return roles
}

t.test('members and owners are as many as are counted; a room that people own always has an owner; nobody who is banned is in', async () => {
  fc.assert(fc.property(walk, ([first, steps]) => {
    const world = newWorld()
    for (const taken of [first, ...steps]) {
      take(world, taken, (_event, _before, room) => {
        const roles = fingers(world.log)
        const records = [...room.members.values()]
        const owners = [...roles.values()].filter(role => role === 'owner').length
        assert.equal(room.count, roles.size)
        assert.equal(room.count, records.filter(({ role }) => RANK[role] >= 0).length)
        assert.equal(room.owners, owners)
        if (!['dm', 'lobby', 'inbox'].includes(room.kind)) assert.ok(owners >= 1, 'an owner')
        for (const [who, member] of room.members) {
          assert.equal(RANK[member.role] >= 0, roles.has(who), who)
          assert.equal(member.joined_seq > 0, RANK[member.role] >= 0 && room.kind !== 'lobby', 'came in at some time')
          if (member.banned_until > world.now) assert.ok(RANK[member.role] < 0 && !isMember(room, member, world.now, who) && !mayRead(room, member, world.now, who))
        }
        if (room.removed) for (const who of PEOPLE) assert.ok(!mayRead(room, memberOf(room, who), world.now, who))
      })
    }
  }), RUNS)
})

t.test('the rules never go down, move with every change of role, ban, mute, kind or setting and the going of anyone above member, and with nothing else', async () => {
  fc.assert(fc.property(walk, ([first, steps]) => {
    const world = newWorld()
    for (const taken of [first, ...steps]) {
      take(world, taken, (event, before, after) => {
        const went = event.type === 'leave' ? event.user_id : event.type === 'kick' ? event.target : undefined
        const moves = ['role', 'ban', 'mute', 'room'].includes(event.type) || (went !== undefined && RANK[memberOf(before, went).role] > 0)
        assert.equal(after.rules - before.rules, moves ? 1 : 0, event.type)
        assert.equal(after.messages - before.messages, event.type === 'message' ? 1 : 0)
        assert.equal(after.seq - before.seq, 1)
      })
    }
  }), RUNS)
})

t.test('what moved no rules changed nobody’s rights but those of whom it was about', async () => {
  fc.assert(fc.property(walk, ([first, steps]) => {
    const world = newWorld()
    for (const taken of [first, ...steps]) {
      take(world, taken, (event, before, after) => {
        if (after.rules !== before.rules) return
        const about = 'target' in event && event.target !== undefined ? event.target : event.user_id
        for (const who of PEOPLE) if (who !== about) assert.deepEqual(memberOf(after, who), memberOf(before, who))
        const { count: _, members: _m, messages: _n, seq: _s, ...settingsAfter } = after
        const { count: _b, members: _c, messages: _d, seq: _e, ...settingsBefore } = before
        assert.deepEqual(settingsAfter, settingsBefore)
      })
    }
  }), RUNS)
})

t.test('evolving a room is folding the effects of its events by hand', async () => {
  fc.assert(fc.property(walk, way => {
    const world = walked(way)
    const meta = new Map<MetaField, string>()
    const counts = { messages: 0, rules: 0, members: 0, owners: 0 }
    const members = new Map<string, Member>()
    for (const [i, event] of world.log.entries()) {
      const asked = new Set<string>()
      const effects = effectsOf(event, who => { asked.add(who); return members.get(who) ?? STRANGER })
      for (const effect of effects) {
        if (effect.on === 'meta') meta.set(effect.field, effect.value)
        else if (effect.on === 'count') counts[effect.field] += effect.by
        else if (effect.on === 'member') {
          assert.ok(asked.has(effect.user_id), 'whose record is changed is asked for')
          members.set(effect.user_id, effect.joins ? { ...effect.member, joined_seq: i + 1 } : effect.member)
        }
      }
      // Two come in with a direct conversation.
      const changed = effects.map(effect => effect.on === 'member' ? effect.user_id : effect.on === 'deleted' ? effect.on : effect.field).filter(what => what !== 'members')
      assert.equal(new Set(changed).size, changed.length, 'each thing is changed once')
    }
    const folded = emptyRoom(ROOM)
    for (const [field, value] of meta) setMeta(folded, field, value)
    const { members: count, ...others } = counts
    assert.deepEqual(Object.assign(folded, { ...others, count, members, seq: world.log.length }), world.room ?? emptyRoom(ROOM))
  }), RUNS)
})

/** Said again, these are said twice; reactions and pins are sets, so that changes nothing that is seen. */
const AGAIN: ReadonlySet<string> = new Set(['message', 'edit', 'react', 'unreact', 'pin', 'unpin', 'inform'])

t.test('an accepted command, decided once more on what it left, is not accepted again', async () => {
  fc.assert(fc.property(walk, ([first, steps]) => {
    const world = newWorld()
    for (const taken of [first, ...steps]) {
      const events = take(world, taken) ?? []
      if (events.length === 0 || world.room?.removed === true) continue
      const { command } = taken
      const again = take({ ...structuredClone({ ...world, room: undefined }), room: structuredClone(world.room) }, { ...taken, minutes: 0 })
      const twice = AGAIN.has(command.type) || ('reason' in command && command.reason !== undefined && command.type !== 'kick')
      if (!twice) assert.equal(again?.length ?? 0, 0, JSON.stringify(command))
      else if (command.type !== 'message') assert.deepEqual(again, events, JSON.stringify(command))
    }
  }), RUNS)
})

t.test('nothing that an outsider of a secret room sends tells it from one that is not there', async t => {
  const nothing = (command: Command, actor: string): unknown => decide(command, undefined, actor, NOW)
  let secret = 0
  const no = fc.option(fc.constantFrom('wrong_password', 'overloaded', 'blocked', 'slow_mode', 'user_not_found', 'room_not_found').map(code => reject(code as 'blocked')), { nil: undefined })
  fc.assert(fc.property(walk, wish, user, no, (way, command, actor, rejection) => {
    const { room, now, messages } = walked(way)
    if (room === undefined || command.type === 'inform' || isMember(room, memberOf(room, actor), now, actor) || isKnown(room)) return
    secret += 1
    const facts: Facts = { messages, mentions: PEOPLE, ...(rejection === undefined ? {} : { no: rejection }) }
    assert.deepEqual(decide(command, room, actor, now, facts), nothing(command, actor), JSON.stringify(command))
  }), { numRuns: 2000 })
  t.ok(secret > 150, String(secret))
})

t.test('a decision rests on the rules, the actor’s record and what it names: where those stand, it stands', async t => {
  let moved = 0
  const both = fc.tuple(walk, fc.array(step(wish), { minLength: 1, maxLength: 6 }), step(wish))
  fc.assert(fc.property(both, ([way, between, last]) => {
    const world = walked(way)
    if (world.room === undefined || world.room.removed) return
    const { command, actor } = last
    const facts = factsOf(world, last)
    const before = structuredClone(world.room)
    const decided = decide(command, before, actor, world.now, facts)
    if ('rejection' in decided || decided.events.length === 0) return
    const known = { ...facts, messages: new Map(world.messages) }
    for (const other of between) take(world, { ...other, minutes: 0 })
    const after = world.room
    const { users, count, undeleted } = guards(command, before, facts)
    const stands = after.rules === before.rules && (!count || after.count === before.count) && (undeleted === undefined || world.messages.get(undeleted)?.deleted !== true) &&
      [actor, ...users].every(who => JSON.stringify(memberOf(after, who)) === JSON.stringify(memberOf(before, who)))
    if (!stands) return
    if (after.seq > before.seq) moved += 1
    assert.deepEqual(decide(command, after, actor, world.now, known), decided, JSON.stringify(command))
  }), { numRuns: 4000 })
  t.ok(moved > 40, `${moved} rooms went on meanwhile`)
})

t.test('times are compared to the millisecond, and for good is for good', async () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: FOREVER }), fc.integer({ min: -2, max: 2 }), (end, off) => {
    const member: Member = { role: 'member', muted_until: 0, banned_until: end, joined_seq: 1 }
    return isMember({ id: ROOM, kind: 'public', removed: false }, member, end + off, 'ann') === (off >= 0)
  }), RUNS)
})
