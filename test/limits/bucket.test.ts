import fc from 'fast-check'
import t from 'tap'
import { TokenBucket } from '../../src/limits/bucket.ts'

t.test('a full bucket gives its burst at once, then says when there will be one more', async t => {
  const bucket = new TokenBucket(10, 3, 1000)
  t.same([1, 2, 3, 4].map(() => bucket.take(1000)), [0, 0, 0, 100])
  t.equal(bucket.take(1050), 50)
  t.equal(bucket.take(1100), 0)
  t.equal(bucket.take(1100), 100)
})

t.test('a rest fills the bucket up to the burst, no further', async t => {
  const bucket = new TokenBucket(10, 3, 0)
  for (let i = 0; i < 3; i++) bucket.take(0)
  t.same([1, 2, 3, 4].map(() => bucket.take(1_000_000)), [0, 0, 0, 100])
})

t.test('a clock that steps back gives nothing, and takes nothing away', async t => {
  const bucket = new TokenBucket(10, 2, 5000)
  t.equal(bucket.take(5000), 0)
  t.equal(bucket.take(1000), 0)
  t.equal(bucket.take(1000), 100)
})

t.test('over any time no more than the burst and the rate is given, and who waits as told gets one', async () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 50 }), fc.array(fc.nat(500), { minLength: 1, maxLength: 200 }), (perSecond, burst, pauses) => {
    const bucket = new TokenBucket(perSecond, burst, 0)
    let now = 0
    let taken = 0
    for (const pause of pauses) {
      now += pause
      const wait = bucket.take(now)
      if (wait === 0) taken += 1
      else {
        now += wait
        if (bucket.take(now) !== 0) return false
        taken += 1
      }
    }
    return taken <= burst + now * perSecond / 1000 + 1e-6
  }))
})

t.test('what costs more than there is, is owed', async t => {
  const bucket = new TokenBucket(10, 3, 0)
  t.equal(bucket.take(0, 13), 0)
  t.equal(bucket.take(0), 1100)
  t.equal(bucket.take(1000, 5), 100)
  t.equal(bucket.take(1100, 1), 0)
  t.equal(bucket.take(1100), 100)
})

t.test('what is given back is there again, up to the burst', async t => {
  const bucket = new TokenBucket(10, 2, 0)
  bucket.take(0)
  bucket.give()
  bucket.give()
  t.same([1, 2, 3].map(() => bucket.take(0)), [0, 0, 100])
  bucket.give()
  t.same([bucket.take(0), bucket.take(0)], [0, 100])
})
