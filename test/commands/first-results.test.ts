// First results are those of the log: an archive that has another history answers nothing until it is reconciled. It used to: a
// message that was lost with the branch that it was on was answered with its place there when it was sent again, and was gone [G2, G8].
import t from 'tap'
import { randomUUID } from 'node:crypto'
import { createFirstResults, keyOf } from '../../src/commands/first-results.ts'
import { archiveLook } from '../../src/roles/archive-look.ts'
import { archive, caughtUp, createFeed, createWorld, wholeLog } from '../projections/feed.ts'
import { remember } from '../projections/loss.ts'

t.test('what the archive has of a branch that does not stand is no first result', async t => {
  const world = await createWorld(t)
  const look = createFirstResults({ archiveLook: archiveLook(world.store), log: world.log })
  const author = randomUUID()
  const room = await world.feed.room()
  await world.feed.say(room, 3, author, 'on both')
  const sentBy = async (seq: number) => ({ author, client_id: JSON.parse((await wholeLog(world.log, room))[seq - 1]!.data).client_id as string })
  const common = await sentBy(3)
  const putBack = await remember(world, room)
  await world.feed.say(room, 5, author, 'on the branch that is gone')
  const gone = await sentBy(6)
  const projector = world.project(archive)
  await caughtUp(world, 'archive_v1', [room])
  await projector.stop()
  t.match((await look(room, [common, gone])).get(keyOf(gone)), { seq: 6 })

  await putBack()
  await t.rejects(look(room, [gone]), { code: 'unavailable' }, 'the log ends before the archive does')
  await createFeed(world).say(room, 8, author, 'on the branch that stands')
  const stands = await sentBy(7)
  await t.rejects(look(room, [common, gone]), { code: 'unavailable' }, 'the log has another event there')
  await world.fence.raise(world.keys.partitionOf(room))
  await t.rejects(look(room, [common]), { code: 'unavailable' }, 'nothing is concluded behind the fence')

  t.match(await world.reconciler.reconcile(), { rooms_parted: 1, events_parted: 5 })
  const found = await look(room, [common, gone, stands])
  t.match(found.get(keyOf(common)), { seq: 3 })
  t.match(found.get(keyOf(stands)), { seq: 7 })
  t.notOk(found.has(keyOf(gone)), 'it may be said again')
})
