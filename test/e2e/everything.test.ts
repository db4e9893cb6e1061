// Every type of event, over two gateways, at every kind of subscriber: live on the node that appended, live on the other, resumed
// from the beginning, and reading the log over HTTP. And what ends a subscription ends it everywhere, at its place in the log.
import t from 'tap'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { dmIdOf } from '../../src/ids.ts'
import type { Frame } from '../client.ts'
import { until } from '../until.ts'
import { millrace } from './world.ts'

const PUT_OUT = ['not_member', 'banned', 'room_not_found']

t.test('every type of event arrives at every kind of subscriber', async t => {
  const world = await millrace(t)
  const [ada, bob, cat, dan] = await Promise.all([world.signup(), world.signup(), world.signup(), world.signup()]) as [Account, Account, Account, Account]
  const http = async (who: Account, method: string, path: string, body?: unknown, gateway = 0): Promise<any> => {
    const answer = await world.api(gateway).call(method, path, { token: who.access_token, body })
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }

  await t.test('in a room', async t => {
    const room = await world.room(ada.access_token)
    const near = await world.connect(0, ada.access_token)
    const far = await world.connect(1, bob.access_token)
    await near.subscribe(room)
    await http(bob, 'POST', `/rooms/${room}/join`)
    await far.subscribe(room)
    await http(cat, 'POST', `/rooms/${room}/join`, undefined, 1)
    const said = await far.message(room, `hello @${ada.user.username}`)
    const root = await near.message(room, 'a thread')
    await near.request({ type: 'message', room_id: room, content: 'in it', thread: root.seq, reply_to: said.seq, attachments: [{ url: 'https://example.org/a.png', name: 'a.png' }] })
    await far.request({ type: 'edit', room_id: room, message_seq: said.seq, content: 'hello, all' })
    await near.request({ type: 'react', room_id: room, message_seq: said.seq, emoji: '👍🏽' })
    await near.request({ type: 'unreact', room_id: room, message_id: said.seq, emoji: '👍🏽' })
    await http(ada, 'PUT', `/rooms/${room}/pins/${root.seq}`)
    await http(ada, 'DELETE', `/rooms/${room}/pins/${root.seq}`)
    await http(ada, 'PUT', `/rooms/${room}/members/${bob.user.id}`, { role: 'moderator' })
    await http(bob, 'PUT', `/rooms/${room}/mutes/${cat.user.id}`, { until: new Date(Date.now() + 60_000).toISOString(), reason: 'too loud' }, 1)
    await http(bob, 'DELETE', `/rooms/${room}/mutes/${cat.user.id}`, undefined, 1)
    await http(bob, 'DELETE', `/rooms/${room}/members/${cat.user.id}`, undefined, 1)
    await http(cat, 'POST', `/rooms/${room}/join`, undefined, 1)
    await http(ada, 'PUT', `/rooms/${room}/bans/${cat.user.id}`, { reason: 'enough' })
    await http(ada, 'DELETE', `/rooms/${room}/bans/${cat.user.id}`)
    await http(ada, 'PATCH', `/rooms/${room}`, { topic: 'engines', slow_mode_s: 0, message_chars_max: 500 })
    const doomed = await near.message(room, 'regret')
    await near.request({ type: 'delete', room_id: room, message_seq: doomed.seq })
    await http(cat, 'POST', `/rooms/${room}/join`)
    const last = await near.request({ type: 'leave', room_id: room }) // the last owner stays
    t.match(last, { type: 'error', code: 'last_owner' })
    const left = await world.connect(1, cat.access_token)
    const end = await left.request({ type: 'leave', room_id: room })
    t.match(end, { type: 'ack' })

    const types = ['ban', 'delete', 'edit', 'join', 'kick', 'leave', 'message', 'mute', 'pin', 'reaction', 'role', 'room']
    const resumed = await world.connect(1, dan.access_token, { resume: { rooms: { [room]: { seq: 0 } } } })
    const heard = async (client: typeof near): Promise<Frame[]> => {
      await until(() => (client.position(room)?.seq ?? 0) >= end.seq, { timeoutMs: 5000 })
      return client.frames.filter(frame => frame.room_id === room && typeof frame.event_id === 'string' && types.includes(frame.type))
    }
    const whole = await heard(resumed)
    t.same(whole.map(({ seq }) => seq), Array.from({ length: end.seq }, (_, i) => i + 1), 'each once, in order')
    t.same([...new Set(whole.map(({ type }) => type))].sort(), types, 'of every type')
    const live = (frames: Frame[]) => frames.map(({ seq, chain, event_id, type }) => ({ seq, chain, event_id, type }))
    t.same(live(await heard(near)), live(whole).slice(1), 'live, on the node that appended')
    t.same(live(await heard(far)), live(whole).slice(2), 'live, on the other')
    const { items } = await http(dan, 'GET', `/rooms/${room}/events?after=0&limit=200`, undefined, 1)
    t.same(live(items), live(whole), 'over HTTP')
    t.match(whole.find(({ seq }) => seq === doomed.seq), { type: 'message', content: '', deleted: true }, 'what was deleted is a tombstone')
    t.notMatch(JSON.stringify(whole), 'regret')
    t.match(whole.find(({ seq }) => seq === said.seq), { mentions: [ada.user.id] })
    t.match(whole.filter(({ type }) => type === 'ban'), [{ target: cat.user.id, reason: 'enough' }, { target: cat.user.id, lifted: true }])
    t.notMatch(JSON.stringify(whole), /session/, 'from which device is nobody’s business')

    await http(ada, 'DELETE', `/rooms/${room}`)
    for (const client of [near, far, resumed]) {
      t.match(await client.next(frame => frame.type === 'room' && frame.change === 'deleted'), { room_id: room })
      t.match(await client.next(frame => frame.type === 'error' && frame.room_id === room), { code: 'room_not_found' }, 'then there is no such room')
    }
    t.equal((await world.api(1).get(`/rooms/${room}`, ada.access_token)).status, 404)
    await Promise.all([near, far, resumed, left].map(async client => { await client.close() }))
  })

  await t.test('between two people, wherever their sockets are', async t => {
    const dm = dmIdOf(ada.user.id, bob.user.id)
    world.rooms.add(dm)
    const a = await world.connect(0, ada.access_token)
    const b = await world.connect(1, bob.access_token, { via: 'query' }) // says no hello, subscribes to nothing
    const sent = await a.request({ type: 'message', recipient: bob.user.id, content: 'psst' })
    t.match(sent, { type: 'ack', room_id: dm, seq: 2 })
    t.match(await b.next(frame => frame.type === 'message'), { room_id: dm, seq: 2, content: 'psst', user_id: ada.user.id })
    await b.request({ type: 'message', recipient: ada.user.id, content: 'yes?' })
    t.match(await a.next(frame => frame.type === 'message' && frame.seq === 3), { room_id: dm, content: 'yes?' })
    t.equal((await http(bob, 'POST', '/dms', { user_id: ada.user.id })).id, dm, 'one room, whoever asks')
    t.equal((await world.api(0).get(`/rooms/${dm}`, cat.access_token)).status, 404, 'of which nobody else knows')
    await http(bob, 'PUT', `/blocks/${ada.user.id}`)
    t.match(await a.request({ type: 'message', recipient: bob.user.id, content: 'hello?' }), { type: 'error', code: 'blocked' })
    t.match(await a.request({ type: 'message', room_id: dm, content: 'hello?' }), { type: 'error', code: 'blocked' })
    await http(bob, 'DELETE', `/blocks/${ada.user.id}`)
    await Promise.all([a.close(), b.close()])
  })

  await t.test('and what is news for one person comes into their inbox, live and from any position', async t => {
    const name = randomUUID()
    const live = await world.connect(0, dan.access_token, { resume: { inbox: { seq: 0 } } })
    const made = await http(ada, 'POST', '/rooms', { name, kind: 'group', members: [dan.user.id, bob.user.id] })
    world.rooms.add(made.id).add(dan.user.id)
    const a = await world.connect(1, ada.access_token)
    const said = await a.message(made.id, `welcome, @${dan.user.username}`)
    await a.request({ type: 'edit', room_id: made.id, message_seq: said.seq, content: `hello, @${dan.user.username}` })
    await http(ada, 'DELETE', `/rooms/${made.id}/members/${dan.user.id}`)
    await http(ada, 'PUT', `/rooms/${made.id}/members/${dan.user.id}`, {})
    await http(ada, 'PUT', `/rooms/${made.id}/bans/${dan.user.id}`, { reason: 'no more' })
    await http(ada, 'PUT', `/rooms/${made.id}/bans/${dan.user.id}`, { reason: 'a letter to somebody who is not in the room' })
    const news = [
      { type: 'inbox', event: 'added', room_id: made.id, by: ada.user.id },
      { type: 'inbox', event: 'mentioned', room_id: made.id, source_seq: said.seq },
      { type: 'inbox', event: 'removed', room_id: made.id },
      { type: 'inbox', event: 'added', room_id: made.id },
      { type: 'inbox', event: 'revoked', room_id: made.id, reason: 'no more' },
    ]
    await until(() => live.frames.filter(({ type }) => type === 'inbox').length >= news.length)
    const frames = live.frames.filter(({ type }) => type === 'inbox')
    t.match(frames, news)
    t.equal(frames.length, news.length, 'the edit tells nobody twice, and a ban is no letter')
    const later = await world.connect(1, dan.access_token, { resume: { inbox: { seq: frames[1]!.seq, chain: frames[1]!.chain } } })
    await until(() => later.frames.some(({ type }) => type === 'live'), { timeoutMs: 5000 })
    t.same(later.frames.filter(({ type }) => type === 'inbox'), frames.slice(2), 'the other device gets what it missed')
    t.match(await later.request({ type: 'message', room_id: dan.user.id, content: 'to my own inbox' }), { type: 'error', code: 'forbidden' })
    t.match(await a.request({ type: 'subscribe', room_id: dan.user.id }), { type: 'error', code: 'room_not_found' }, 'nobody else reads it')
    await Promise.all([live, later, a].map(async client => { await client.close() }))
  })

  await t.test('whoever is put out hears of it, and of nothing after it', async t => {
    const people = await Promise.all(Array.from({ length: 12 }, async () => await world.signup())) as Account[]
    for (const kind of ['public', 'private'] as const) {
      const room = (await http(ada, 'POST', '/rooms', { name: 'race', kind })).id as string
      world.rooms.add(room)
      const { code } = await http(ada, 'POST', `/rooms/${room}/invites`)
      for (const person of people) await http(person, 'POST', `/rooms/${room}/join`, { invite: code })
      const sockets = await Promise.all(people.map(async (person, i) => await world.connect(i % 2, person.access_token, { resume: { rooms: { [room]: { seq: 0 } } } })))
      await Promise.all(sockets.map(async socket => await socket.next(frame => frame.type === 'live' && frame.room_id === room)))
      const a = await world.connect(0, ada.access_token)
      const ended = new AbortController()
      const flood = (async () => { while (!ended.signal.aborted) await a.message(room, 'on and on') })()
      const outs = await Promise.all(people.map(async (person, i) => {
        await sleep(Math.random() * 400)
        if (i % 3 === 0) return await http(ada, 'DELETE', `/rooms/${room}/members/${person.user.id}`, undefined, i % 2)
        if (i % 3 === 1) return await http(ada, 'PUT', `/rooms/${room}/bans/${person.user.id}`, {}, i % 2)
        if (kind === 'private') return await http(person, 'POST', `/rooms/${room}/leave`, undefined, i % 2)
        return await http(ada, 'DELETE', `/rooms/${room}/members/${person.user.id}`, undefined, 1 - i % 2)
      }))
      await sleep(300)
      ended.abort()
      await flood
      const end = await a.message(room, 'secret')
      await sleep(300)
      sockets.forEach((socket, i) => {
        const seqs = socket.frames.filter(frame => frame.room_id === room && typeof frame.event_id === 'string').map(({ seq }) => seq)
        t.equal(Math.max(...seqs), outs[i].seq, `${kind} ${i}: the last thing heard is the going`)
        t.ok(socket.frames.some(frame => frame.type === 'error' && frame.room_id === room && PUT_OUT.includes(frame.code)))
        t.ok(outs[i].seq < end.seq)
      })
      const codes = await Promise.all(sockets.map(async socket => (await socket.request({ type: 'subscribe', room_id: room, after: { seq: 0 } })).code))
      t.same([...new Set(codes)].filter(code => !PUT_OUT.includes(code)), [], 'and none comes back in by subscribing')
      await Promise.all([...sockets, a].map(async socket => { await socket.close() }))
    }
  })

  const everyone = await world.store.query<{ id: string }>('SELECT id FROM users')
  const { heads } = await world.log.heads(everyone.rows.map(({ id }) => id))
  for (const inbox of heads.keys()) world.rooms.add(inbox)
  const judged = await world.judge({ expectAllDelivered: false })
  t.match(judged, { ok: true })
})

type Account = Awaited<ReturnType<Awaited<ReturnType<typeof millrace>>['signup']>>
