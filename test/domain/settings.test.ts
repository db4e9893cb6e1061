// Name, topic, settings, archiving and removing a room.
import t from 'tap'
import { SETTING_NAMES, type Settings } from '../../src/domain/events.ts'
import { made, people, roomOf, SOON, when, type Given } from './given.ts'

const roles = people({ bob: 'member', mod: 'moderator', adm: 'admin' })
const room: Given[] = [...made('private'), ...roles]
const group: Given[] = [...made('group'), ...roles]
const update = (changes: Settings & { name?: string }) => ({ type: 'update' as const, ...changes })
const updated = (changes: Settings & { name?: string }) => [{ type: 'room', change: 'updated', ...changes }]
/** Another value of each than a new room has. */
const OTHER: Required<Settings> = { topic: 'x', history: 'joined', members_max: 9, message_chars_max: 99, slow_mode_s: 9, archived: true, retention_days: 9 }

t.test('an admin changes what a room is called and how it is run', async t => {
  t.same(Object.keys(OTHER).sort(), [...SETTING_NAMES].sort(), 'all settings')
  for (const kind of ['public', 'private', 'protected', 'group'] as const) {
    const events: Given[] = [...made(kind), ...roles]
    for (const [name, value] of Object.entries({ name: 'x', ...OTHER })) if (name !== 'retention_days') t.same(when(events, update({ [name]: value }), 'adm'), updated({ [name]: value }), `${name} in ${kind}`)
  }
  t.same(when(room, update({ name: 'x', ...OTHER }), 'ada'), updated({ name: 'x', ...OTHER }), 'all at once')
  for (const who of ['bob', 'mod']) t.equal(when(room, update({ name: 'x' }), who), 'forbidden', who)
})

t.test('for how long messages are kept is said by an owner alone, or an operator: what is erased does not come back', async t => {
  for (const who of ['bob', 'mod', 'adm']) {
    t.equal(when(room, update({ retention_days: 30 }), who), 'forbidden', who)
    t.equal(when(room, update({ topic: 'x', retention_days: 30 }), who), 'forbidden', who)
  }
  t.same(when(room, update({ retention_days: 30 }), 'ada'), updated({ retention_days: 30 }))
  const kept: Given[] = [...room, ['ada', { type: 'room', change: 'updated', retention_days: 30 }]]
  t.equal(roomOf(kept)!.retention_days, 30)
  t.same(when(kept, update({ retention_days: 0 }), 'ada'), updated({ retention_days: 0 }), 'and taken back')
  t.same(when(kept, update({ retention_days: 30, topic: 'x' }), 'adm'), updated({ topic: 'x' }), 'what does not change needs no right')
})

t.test('in a group everyone changes its name and topic, and nothing else', async t => {
  for (const who of ['bob', 'mod']) {
    t.same(when(group, update({ name: 'x', topic: 'y' }), who), updated({ name: 'x', topic: 'y' }), who)
    for (const name of SETTING_NAMES) if (name !== 'topic') t.equal(when(group, update({ topic: 'y', [name]: OTHER[name] }), who), 'forbidden', `${who}: ${name}`)
  }
})

t.test('in the lobby its admins change all but whether it is open and what is read of it', async t => {
  const lobby: Given[] = [...made('lobby'), ['system', { type: 'role', target: 'adm', role: 'admin' }]]
  for (const name of SETTING_NAMES) {
    if (name === 'archived' || name === 'history' || name === 'retention_days') t.equal(when(lobby, update({ [name]: OTHER[name] }), 'adm'), 'forbidden', name)
    else t.same(when(lobby, update({ [name]: OTHER[name] }), 'adm'), updated({ [name]: OTHER[name] }), name)
    t.equal(when(lobby, update({ [name]: OTHER[name] }), 'bob'), 'forbidden', name)
  }
})

t.test('nobody changes a direct conversation', async t => {
  for (const [name, value] of Object.entries({ name: 'x', ...OTHER })) t.equal(when(made('dm'), update({ [name]: value }), 'ada'), 'forbidden', name)
})

t.test('what is set to what it was changes nothing; of several only the others are told', async t => {
  t.same(when(room, update({}), 'adm'), [])
  t.equal(when(room, update({}), 'bob'), 'forbidden', 'by whom it may not be changed')
  t.same(when(room, update({ name: 'Engines', topic: '', history: 'all', slow_mode_s: 0, archived: false, message_chars_max: 8000 }), 'adm'), [])
  t.same(when(room, update({ name: 'Engines', topic: 'new' }), 'adm'), updated({ topic: 'new' }))
  t.same(when(made('private', OTHER), update({ ...OTHER }), 'ada'), [])
  t.same(when(group, update({ archived: false, topic: 'new' }), 'bob'), updated({ topic: 'new' }), 'what does not change needs no right')
})

t.test('settings are kept, and can be taken back', async t => {
  t.match(roomOf(made('private', OTHER)), OTHER)
  const none: Settings = { topic: '', history: 'all', message_chars_max: 8000, slow_mode_s: 0, archived: false }
  t.match(roomOf([...made('private', OTHER), ['ada', { type: 'room', change: 'updated', ...none }]]), { ...OTHER, ...none, name: 'Engines' })
  t.equal(roomOf([...room, ['ada', { type: 'room', change: 'updated', name: 'new' }]])!.name, 'new')
})

t.test('every change moves the rules', async t => {
  for (const [name, value] of Object.entries({ name: 'x', ...OTHER })) t.equal(roomOf([...room, ['ada', { type: 'room', change: 'updated', [name]: value }]])!.rules, roomOf(room)!.rules + 1, name)
  t.equal(roomOf([...room, ['ada', { type: 'room', change: 'deleted' }]])!.rules, roomOf(room)!.rules + 1)
})

t.test('an archived room is opened again before anything else about it is changed', async t => {
  const archived: Given[] = [...group, ['ada', { type: 'room', change: 'updated', archived: true }]]
  t.equal(when(archived, update({ topic: 'x' }), 'bob'), 'room_archived')
  t.equal(when(archived, update({ slow_mode_s: 1 }), 'adm'), 'room_archived')
  t.same(when(archived, update({ archived: true }), 'adm'), [])
  t.same(when(archived, update({ archived: false, topic: 'x' }), 'adm'), updated({ topic: 'x', archived: false }))
  t.equal(when(archived, update({ archived: false }), 'bob'), 'forbidden')
  t.same(when([...archived, ['ada', { type: 'room', change: 'updated', archived: false }]], { type: 'message', content: 'x' }, 'bob'), [{ type: 'message', content: 'x' }])
})

t.test('in an archived room order is still kept, and people still go', async t => {
  const archived: Given[] = [...room, ['ada', { type: 'room', change: 'updated', archived: true }]]
  t.same(when(archived, { type: 'kick', target: 'bob' }, 'mod'), [{ type: 'kick', target: 'bob' }])
  t.same(when(archived, { type: 'ban', target: 'bob' }, 'mod'), [{ type: 'ban', target: 'bob' }])
  t.same(when(archived, { type: 'role', target: 'bob', role: 'admin' }, 'ada'), [{ type: 'role', target: 'bob', role: 'admin' }])
  t.same(when(archived, { type: 'leave' }, 'bob'), [{ type: 'leave' }])
  t.same(when(archived, { type: 'remove' }, 'ada'), [{ type: 'room', change: 'deleted' }])
})

t.test('the muted do not speak by the name or the topic of a room', async t => {
  const muted: Given[] = [...group, ['ada', { type: 'mute', target: 'bob', until: SOON }]]
  t.equal(when(muted, update({ topic: 'x' }), 'bob', {}, Date.parse(SOON) - 1), 'muted')
  t.same(when(muted, update({ topic: 'x' }), 'bob', {}, Date.parse(SOON)), updated({ topic: 'x' }))
})

t.test('a smaller room puts nobody out', async t => {
  const full: Given[] = [...group, ['ada', { type: 'room', change: 'updated', members_max: 1 }]]
  t.equal(roomOf(full)!.count, 4)
  t.equal(when(full, { type: 'add', target: 'eve' }, 'ada'), 'room_full')
})

t.test('an owner removes a room; then it is gone for everyone', async t => {
  for (const who of ['bob', 'mod', 'adm']) t.equal(when(room, { type: 'remove' }, who), 'forbidden', who)
  t.same(when(room, { type: 'remove' }, 'ada'), [{ type: 'room', change: 'deleted' }])
  const removed: Given[] = [...room, ['ada', { type: 'room', change: 'deleted' }]]
  t.equal(roomOf(removed)!.removed, true)
  t.equal(when(removed, { type: 'remove' }, 'ada'), 'room_not_found')
})
