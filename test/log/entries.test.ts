// An event as an entry of a stream, and back: whatever a session calls itself; and entries as they were written before, or by hand.
import fc from 'fast-check'
import t from 'tap'
import { entryText, eventOf, logEventOf } from '../../src/log/entries.ts'

const ID = '019abc00-0000-7000-8000-000000000001'
const text = fc.string({ unit: 'binary' })

t.test('whatever is written into an entry is read from it, alone and in a line of a bell', async t => {
  fc.assert(fc.property(fc.uuid(), fc.nat(), fc.option(text.filter(by => by !== '' && by !== '-' && by.isWellFormed()), { nil: undefined }), text, (event_id, v, by, content) => {
    const event = { event_id, v, data: JSON.stringify({ content }), ...(by === undefined ? {} : { by }) }
    const written = entryText(event)
    t.notMatch(written, '\n')
    t.same(logEventOf(['7-0', ['chain', 'abc', 'event', written]]), { seq: 7, chain: 'abc', ...event })
    t.same(eventOf(7, 'abc', `before ${written}\nafter`, 'before '.length, 'before '.length + written.length), { seq: 7, chain: 'abc', ...event })
  }), { numRuns: 300 })
})

t.test('a session of lone surrogates does no harm', async t => {
  t.equal(logEventOf(['7-0', ['chain', 'abc', 'event', entryText({ event_id: ID, v: 1, data: '{}', by: 'x\ud800' })]]).by, 'x\ufffd')
})

t.test('entries with a field for each part, and what nobody ever wrote', async t => {
  t.same(logEventOf(['7-0', ['id', ID, 'chain', 'abc', 'v', '1', 'data', '{}', 'by', 'me']]), { seq: 7, chain: 'abc', event_id: ID, v: 1, data: '{}', by: 'me' })
  t.same(logEventOf(['7-0', ['id', ID, 'chain', 'abc']]), { seq: 7, chain: 'abc', event_id: ID, v: 0, data: '' })
  t.same(logEventOf(['7-0', ['data', '{}']]), { seq: 7, chain: '', event_id: '', v: 0, data: '{}' })
  for (const event of ['', 'nothing', `${ID} 1`, `${ID} 1 -`]) t.same(logEventOf(['7-0', ['chain', 'abc', 'event', event]]), { seq: 7, chain: 'abc', event_id: '', v: 0, data: '' })
  t.match(logEventOf(['7-0', ['chain', 'abc', 'event', `${ID} x %zz no JSON`]]), { event_id: ID, by: '%zz', data: 'no JSON' })
})
