// Two people chat with the client over two real gateways: what they do arrives, tokens are refreshed meanwhile, and a gateway that is
// killed is no reason to stop.
import t from 'tap'
import { randomUUID } from 'node:crypto'
import { connect, logIn, memoryStore, signUp, type ConnectOptions, type RoomEvent } from '../../src/client/client.ts'
import { millrace } from '../e2e/world.ts'
import { until } from '../until.ts'

t.test('people chat with the client', async t => {
  const world = await millrace(t, { env: { ACCESS_TOKEN_S: '5', HEARTBEAT_MS: '1000' } })
  const name = `u${randomUUID().slice(0, 8)}`
  const open = (gateway: number, options: Partial<ConnectOptions>) => {
    const client = connect({ url: world.urlOf(gateway), backOff: { baseMs: 50, capMs: 300 }, ...options })
    t.teardown(async () => { await client.close() })
    return client
  }
  const { refresh_token } = await signUp({ url: world.urlOf(0), username: name, password: 'correct horse battery', display_name: 'Ada' })
  const { user: bob, access_token } = await signUp({ url: world.urlOf(1), username: `${name}b`, password: 'correct horse battery' })
  const store = memoryStore()
  const ada = open(0, { refreshToken: refresh_token!, store })
  const bobs = open(1, { token: async () => (await logIn({ url: world.urlOf(1), username: `${name}b`, password: 'correct horse battery' })).access_token })
  const id = await world.room(access_token)
  const room = ada.room(id)
  const seen: RoomEvent[] = []
  bobs.room(id).on('event', event => seen.push(event))
  let live = false
  bobs.room(id).on('live', () => { live = true })
  await room.join()
  await until(() => live) // without a position, what was said before is not heard

  await t.test('what is done in a room arrives', async t => {
    const { seq } = await room.send('hello')
    await room.react(seq, '👍')
    await room.unreact(seq, '👍')
    await room.edit(seq, 'hello all')
    await room.send('answering', { reply_to: seq })
    await room.delete(seq)
    t.match(await until(() => seen.at(-1)?.type === 'delete' && seen.slice(-6)), [
      { type: 'message', content: 'hello', user_id: ada.userId, client_id: String },
      { type: 'reaction', message_seq: seq, emoji: '👍', added: true },
      { type: 'reaction', message_seq: seq, added: false },
      { type: 'edit', message_seq: seq, content: 'hello all' },
      { type: 'message', content: 'answering', reply_to: seq },
      { type: 'delete', message_seq: seq },
    ])
    await t.rejects(room.edit(seq, 'too late'), { name: 'MillraceError', code: 'message_deleted' })
    await t.rejects(bobs.room('lobby').edit(999_999, 'x'), { code: 'message_not_found' })
    const page = await room.history({ limit: 1 })
    t.match(page, { items: [{ content: 'answering' }], as_of: { seq: Number, chain: String } })
    await t.rejects(ada.room(randomUUID()).history(), { code: 'room_not_found' })
  })

  await t.test('a direct conversation begins with its first message', async t => {
    const { room_id } = await ada.direct(bob.id).send('only you')
    const direct = await bobs.direct(ada.userId!).room()
    t.equal(direct.id, room_id)
    for await (const event of direct.events({ after: 0 })) {
      if (event.type !== 'message') continue
      t.match(event, { content: 'only you', user_id: ada.userId })
      break
    }
  })

  await t.test('tokens run out, a gateway is killed: everything goes on', async t => {
    const first = await store.get('refresh')
    await world.gateways[0]!.kill()
    const sent = room.send('into the dark')
    await until(() => ada.state.name === 'offline')
    t.match(ada.state, { queued: 1 })
    await world.gateways[0]!.restart()
    t.match(await sent, { room_id: id })
    await until(async () => await store.get('refresh') !== first, { what: 'a refresh' })
    await until(async () => ada.state.name === 'live')
    await room.send('still there')
    await until(() => seen.at(-1)?.content === 'still there')
    const seqs = seen.map(({ seq }) => seq)
    t.same(seqs, seqs.map((_, i) => seqs[0]! + i), 'each once, in order')
    t.same(await ada.request('/me').then((me: any) => me.username), name)
  })
})
