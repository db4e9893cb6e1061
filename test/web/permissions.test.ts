// What the web client offers is what the server allows: its table of roles is held to the server's own.
import t from 'tap'
import { may as mayThere, outranks as outranksThere, type Action as ActionThere, type Role } from '../../src/domain/permissions.ts'
import { may, outranks, rolesToGive, type Action } from '../../web/src/moderation/permissions.ts'

const ROLES: Role[] = ['owner', 'admin', 'moderator', 'member', 'none', 'kicked']
const KINDS = ['public', 'private', 'protected', 'group', 'dm', 'lobby', 'inbox'] as const
const ACTIONS: Array<Action & ActionThere> = ['pin', 'mention room', 'delete others', 'leave', 'add', 'invite', 'kick', 'ban', 'mute', 'role', 'update', 'settings', 'archive', 'retain', 'remove', 'audit']

t.test('for each kind of room, role and action both say the same', async t => {
  for (const kind of KINDS) {
    for (const role of ROLES) for (const action of ACTIONS) if (may({ kind, role }, action) !== mayThere(kind, role, action)) t.fail(`${action} as ${role} in ${kind}`)
  }
  t.pass()
})

t.test('one acts downwards, and gives roles below one’s own', async t => {
  for (const role of ROLES) for (const other of ROLES) t.equal(outranks(role, other), outranksThere(role, other))
  t.same(rolesToGive('owner'), ['owner', 'admin', 'moderator', 'member'])
  t.same(rolesToGive('admin'), ['moderator', 'member'])
  t.same(rolesToGive('none'), [])
})
