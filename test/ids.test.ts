import t from 'tap'
import { createUuidv7, uuidv7 } from '../src/ids.ts'

const V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

t.test('IDs are of version 7, unique, and ascend', async t => {
  const ids = Array.from({ length: 100_000 }, () => uuidv7())
  t.ok(ids.every(id => V7.test(id)))
  t.equal(new Set(ids).size, ids.length)
  t.ok(ids.every((id, i) => i === 0 || ids[i - 1]! < id))
})

t.test('they begin with the time', async t => {
  const id = createUuidv7(() => Date.parse('2026-11-20T10:00:00.123Z'))()
  t.equal(parseInt(id.slice(0, 8) + id.slice(9, 13), 16), Date.parse('2026-11-20T10:00:00.123Z'))
})

t.test('they ascend while the clock stands still or steps back', async t => {
  let now = 1_800_000_000_000
  const next = createUuidv7(() => now)
  const ids: string[] = []
  for (let i = 0; i < 10_000; i++) {
    if (i === 5000) now -= 60_000
    ids.push(next())
  }
  t.ok(ids.every((id, i) => V7.test(id) && (i === 0 || ids[i - 1]! < id)))
})
