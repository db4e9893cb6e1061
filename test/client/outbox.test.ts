// Commands on their way, with a clock of the test's: what is not answered is sent again, and nothing overtakes it.
import t from 'tap'
import { mock } from 'node:test'
import fc from 'fast-check'
import type { Ack, Frame } from '../../src/client/frames.ts'
import { ACKED_KEPT_MAX, createOutbox } from '../../src/client/outbox.ts'
import { memoryStore } from '../../src/client/store.ts'

function world () {
  let refs = 0
  const sent: any[] = []
  const outbox = createOutbox({
    store: memoryStore(),
    send (frame) { sent.push(frame); return true },
    nextRef: () => ++refs,
    backOff: { baseMs: 100, capMs: 1000 },
    random: () => 1,
    onChange () {},
    onRefused () {},
    onAck () {},
    onFault (error) { throw error },
  })
  return { outbox, sent }
}

const message = (content: string): Frame => ({ type: 'message', room_id: 'room', content })
const ack = (ref: number, seq: number): Frame => ({ type: 'ack', ref, room_id: 'room', seq, chain: String(seq), event_id: `e${seq}` })

t.test('a command or an ack that is lost on a good connection is sent again after a while', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => { mock.timers.reset() })
  const { outbox, sent } = world()
  outbox.live('me')
  const acked = outbox.add('room', message('one'))
  const next = outbox.add('room', message('two'))
  t.equal(sent.length, 1, 'one at a time in a room')
  mock.timers.tick(14_999)
  t.equal(sent.length, 1)
  mock.timers.tick(1)
  t.match(sent[1], { content: 'one', client_id: sent[0].client_id, resend: true })
  t.equal(outbox.answer(ack(sent[0].ref, 1)), false, 'the late answer to the first try')
  t.ok(outbox.answer(ack(sent[1].ref, 1)))
  t.match(await acked, { seq: 1 })
  t.match(sent[2], { content: 'two' })
  outbox.answer(ack(sent[2].ref, 2))
  t.match(await next, { seq: 2 })
  await outbox.close()
})

t.test('a retry waits as long as the server says, then as long as the back-off says', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => { mock.timers.reset() })
  const { outbox, sent } = world()
  outbox.live('me')
  const acked = outbox.add('room', message('one'))
  for (const [retry_after_ms, waits] of [[undefined, 100], [500, 700], [undefined, 400]] as const) {
    outbox.answer({ type: 'error', ref: sent.at(-1).ref, code: 'rate_limited', message: '', retry_after_ms })
    const before = sent.length
    mock.timers.tick(waits - 1)
    t.equal(sent.length, before)
    mock.timers.tick(1)
    t.equal(sent.length, before + 1)
  }
  outbox.answer(ack(sent.at(-1).ref, 1))
  t.match(await acked, { seq: 1 })
  await outbox.close()
})

t.test('rooms do not wait for each other', async t => {
  const { outbox, sent } = world()
  outbox.live('me')
  const both = [outbox.add('room', message('one')), outbox.add('other', message('two'))]
  t.equal(sent.length, 2)
  for (const promise of both) promise.catch(() => {})
  await outbox.close()
})

t.test('acked messages are remembered up to a limit, and come back in their order', async t => {
  const { outbox, sent } = world()
  outbox.live('me')
  for (let seq = 1; seq <= ACKED_KEPT_MAX + 10; seq++) {
    const acked = outbox.add('room', message(String(seq)))
    outbox.answer(ack(sent.at(-1).ref, seq))
    await acked
  }
  const before = sent.length
  outbox.vanished('room', 0)
  t.equal(outbox.size, ACKED_KEPT_MAX)
  for (let i = 0; i < ACKED_KEPT_MAX; i++) outbox.answer(ack(sent.at(-1).ref, 1000 + i))
  t.same(sent.slice(before).map(({ content }) => Number(content)), Array.from({ length: ACKED_KEPT_MAX }, (_, i) => i + 11))
  outbox.vanished('another room', 0)
  t.equal(outbox.size, 0)
  await outbox.close()
})

t.test('whatever is lost, refused for now or cut: each takes effect once, in order', async t => {
  await fc.assert(fc.asyncProperty(fc.array(fc.constantFrom('add', 'ack', 'lose', 'lose ack', 'busy', 'cut'), { maxLength: 80 }), async acts => {
    mock.timers.enable({ apis: ['setTimeout'] })
    const { outbox, sent } = world()
    const log: string[] = [] // as a server keeps it: each client_id once
    const content: string[] = []
    const acks: Array<Promise<Ack>> = []
    outbox.live('me')
    let seen = 0
    const serve = (how: string): void => {
      while (seen < sent.length) {
        const { client_id, ref } = sent[seen++]
        if (how === 'lose') continue
        if (how === 'busy') { outbox.answer({ type: 'error', ref, code: 'busy', message: '' }); continue }
        if (!log.includes(client_id)) { log.push(client_id); content.push(sent[seen - 1].content) }
        if (how === 'ack') outbox.answer(ack(ref, log.indexOf(client_id) + 1))
      }
    }
    for (const [i, act] of acts.entries()) {
      if (act === 'add') acks.push(outbox.add('room', message(String(i))))
      else if (act === 'cut') {
        outbox.lost()
        outbox.live('me')
      } else serve(act)
      mock.timers.tick(act === 'lose' || act === 'lose ack' ? 20_000 : 1000)
    }
    for (let i = 0; i < 5; i++) {
      serve('ack')
      mock.timers.tick(20_000)
    }
    serve('ack')
    const seqs = (await Promise.all(acks)).map(({ seq }) => seq)
    await outbox.close()
    mock.timers.reset()
    return seqs.every((seq, i) => seq === i + 1) && content.join() === acts.flatMap((act, i) => act === 'add' ? String(i) : []).join()
  }), { numRuns: 200 })
  t.pass()
})
