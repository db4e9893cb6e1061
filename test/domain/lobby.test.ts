import t from 'tap'
import { LOBBY_ID, resolveRoomId } from '../../src/domain/lobby.ts'

t.test('a room is named by its UUID in any case, the lobby by its alias too', async t => {
  t.equal(resolveRoomId('lobby'), LOBBY_ID)
  t.equal(resolveRoomId(LOBBY_ID), LOBBY_ID)
  t.equal(resolveRoomId('019ABCDE-F000-7000-8000-00000000000A'), '019abcde-f000-7000-8000-00000000000a')
})

t.test('anything else names no room', async t => {
  for (const text of ['', 'Lobby', 'lobby ', '019abcdef00070008000000000000000', '019abcde-f000-7000-8000-00000000000', '019abcde-f000-7000-8000-00000000000g', '019abcde-f000-7000-8000-00000000000a\n']) t.equal(resolveRoomId(text), undefined, JSON.stringify(text))
})
