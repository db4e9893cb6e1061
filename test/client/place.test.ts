// Where a client is in a log: what an event is to it, and what it remembers of the way.
import t from 'tap'
import fc from 'fast-check'
import { ALSO_MAX, Place } from '../../src/client/place.ts'

const chainOf = (seq: number, branch = 'a'): string => `${branch}${seq}`
const event = (seq: number, branch?: string) => ({ seq, chain: chainOf(seq, branch) })

function placeAt (seq: number): Place {
  const place = new Place({ seq: 0 })
  for (let i = 1; i <= seq; i++) place.advance(event(i))
  return place
}

t.test('the next event, a known one, one beyond a gap, and one of another history', async t => {
  const place = placeAt(5)
  t.equal(place.judge(event(6)), 'next')
  t.equal(place.judge(event(5)), 'known')
  t.equal(place.judge(event(2)), 'known')
  t.equal(place.judge(event(7)), 'gap')
  t.equal(place.judge(event(4, 'b')), 'parted')
  t.equal(place.judge(event(5), 'live'), 'known')
  t.equal(place.judge(event(6), 'live'), 'gap', 'live up to there means that something is missing')
  t.equal(place.judge(event(5, 'b'), 'live'), 'parted')
  t.same(place.at, event(5), 'judging moves nothing')
})

t.test('who knows nothing yet takes the log up wherever it comes', async t => {
  const place = new Place()
  t.equal(place.at, undefined)
  t.equal(place.claim(), undefined)
  t.equal(place.judge(event(100)), 'next')
  place.advance(event(100))
  t.equal(place.judge(event(102)), 'gap')
})

t.test('a reset takes back, or ahead, and forgets what no longer stands', async t => {
  const place = placeAt(50)
  place.reset(event(30))
  t.same(place.at, event(30))
  t.equal(place.judge(event(31, 'b')), 'next')
  place.advance(event(31, 'b'))
  t.ok(place.claim()!.also!.every(({ seq }) => seq <= 30))
  place.reset(event(90, 'b'))
  t.equal(place.judge(event(91, 'b')), 'next')
})

t.test('what is claimed besides: the nearest, and about one for each power of two back, of any history', async t => {
  const place = placeAt(100_000)
  const { seq, also } = place.claim()!
  t.equal(seq, 100_000)
  t.ok(also!.length <= ALSO_MAX)
  for (let back = 1; back <= 50_000; back *= 2) {
    t.ok(also!.some(older => older.seq <= seq - back && older.seq > seq - back * 4), `one between ${back} and ${back * 4} back: ${also!.map(older => seq - older.seq)}`)
  }
  t.same(also!.map(older => older.chain), also!.map(older => chainOf(older.seq)))
  t.same(place.claim(3)!.also!.length, 3)
  t.same(new Place(place.claim()).claim(), place.claim(), 'as good after it was stored')
})

t.test('whatever arrives, what is taken is the log: each once, in order', async t => {
  fc.assert(fc.property(fc.array(fc.nat({ max: 40 }), { maxLength: 300 }), arrivals => {
    const place = new Place({ seq: 0 })
    const taken: number[] = []
    for (const seq of arrivals) {
      if (place.judge(event(seq)) !== 'next') continue
      place.advance(event(seq))
      taken.push(seq)
    }
    return taken.every((seq, i) => seq === i + 1)
  }), { numRuns: 500 })
  t.pass()
})
