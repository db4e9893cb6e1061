// What is wrong, and in which order it is said: by what a look found.
import t from 'tap'
import { judge } from '../../src/operations/judge.ts'
import type { Status } from '../../src/operations/report.ts'

const AT = '2026-11-20T10:00:00.000Z'
const ago = (s: number): string => new Date(Date.parse(AT) - s * 1000).toISOString()
type Node = NonNullable<Status['nodes']>[number]
const node = (role: string, more: Partial<Node> = {}): Node => ({ role, host: 'here', pid: 1, version: '1', started_at: ago(3600), seen_at: ago(1), state: 'ready', clock_skew_ms: 0, ...more })

const WELL: Omit<Status, 'ok' | 'troubles'> = {
  at: AT,
  nodes: [node('gateway'), node('projector'), node('jobs')],
  redis: { url: 'redis://r', master: true, aof: true, aof_ok: true, partitions: 8, partitions_fenced: 0, memory_bytes: 1, memory_max_bytes: 100 },
  postgres: { url: 'postgres://p', partitions: 8, in_recovery: false, connections: 10, connections_max: 100 },
  partitions: 8,
  projections: [{ projection: 'archive_v1', workers: 1, partitions: 8, parked_rooms: 0, lag_events: 5, lag_rooms: 1, lag_seconds: 0.5 }],
  rooms_looked: 1,
  parked: [],
  jobs: [],
}
const texts = (change: Partial<typeof WELL>): string[] => judge({ ...WELL, ...change }).map(({ text }) => text)
const archive = (more: object) => ({ projections: [{ ...WELL.projections![0]!, ...more }] })

t.test('nothing is wrong where nothing is', async t => {
  t.same(texts({}), [])
})

t.test('each trouble is a sentence', async t => {
  const cases: ReadonlyArray<[Partial<typeof WELL>, RegExp]> = [
    [{ redis: { url: 'redis://r', reason: 'gone' }, nodes: null }, /^Redis at redis:\/\/r does not answer: gone$/],
    [{ postgres: { url: 'postgres://p', reason: 'gone' }, projections: null }, /^Postgres at postgres:\/\/p does not answer: gone$/],
    [{ postgres: { url: 'postgres://p', reason: 'error: no such table' }, projections: null }, /^Postgres at postgres:\/\/p answers with an error: no such table$/],
    [{ redis: { ...WELL.redis, master: false } }, /is a replica: it takes no appends$/],
    [{ redis: { ...WELL.redis, aof_ok: false } }, /cannot write its append-only file/],
    [{ redis: { ...WELL.redis, partitions_fenced: 1 } }, /^1 partition of 8 is fenced/],
    [{ redis: { ...WELL.redis, memory_bytes: 95 } }, /^Redis uses 95 % of its maxmemory/],
    [{ postgres: { ...WELL.postgres, in_recovery: true } }, /is a standby/],
    [{ postgres: { ...WELL.postgres, connections: 95 } }, /^Postgres has 95 connections of at most 100$/],
    [{ postgres: { ...WELL.postgres, partitions: 16 } }, /^Postgres holds a deployment with 16 partitions, and PARTITIONS is 8: set PARTITIONS=16$/],
    [{ postgres: { ...WELL.postgres, partitions: null } }, /^Postgres holds no deployment yet/],
    [{ nodes: [node('gateway'), node('jobs')] }, /^projector: none alive, and none was within a day$/],
    [{ nodes: [node('gateway'), node('jobs'), node('projector', { state: 'silent', seen_at: ago(60) })] }, /^projector: none alive since 2026-11-20T09:59:00\.000Z$/],
    [{ nodes: [node('gateway'), node('jobs'), node('projector', { state: 'stopped', seen_at: ago(60) })] }, /^projector: none alive since 2026-11-20T09:59:00\.000Z \(stopped\)$/],
    [{ nodes: [...WELL.nodes!, node('gateway', { pid: 7, state: 'silent', seen_at: ago(60) })] }, /^gateway on here \(pid 7\) has been silent since 2026-11-20T09:59:00\.000Z$/],
    [{ nodes: [node('projector'), node('jobs'), node('gateway', { state: 'not ready', trouble: 'fence: 3 partitions' })] }, /^gateway on here \(pid 1\) is not ready: fence: 3 partitions$/],
    [archive({ partitions: 7 }), /^archive_v1: nobody serves 1 partition of 8$/],
    [archive({ parked_rooms: 1 }), /^archive_v1 is parked in 1 room: see millrace park list$/],
    [archive({ lag_seconds: 31, lag_events: 500, lag_rooms: 2 }), /^archive_v1 is behind by 500 events in 2 rooms, the oldest 31 s old$/],
  ]
  for (const [change, text] of cases) {
    const found = texts(change)
    t.equal(found.length, 1, found.join('; '))
    t.match(found[0], text)
  }
})

t.test('the likeliest cause comes first', async t => {
  const found = texts({
    postgres: { url: 'postgres://p', reason: 'gone' },
    nodes: [node('gateway'), node('jobs', { state: 'not ready', trouble: 'postgres' }), node('projector', { state: 'silent' })],
    redis: { ...WELL.redis, partitions_fenced: 8 },
    projections: null,
  })
  t.same(found.map(text => text.split(/[ :]/)[0]), ['Postgres', 'projector', 'jobs', '8'])
})

t.test('who was replaced, or stopped as asked, or fell silent long ago beside others, is not missed', async t => {
  t.same(texts({ nodes: [...WELL.nodes!, node('gateway', { pid: 2, started_at: ago(30) }), node('gateway', { pid: 7, state: 'silent', seen_at: ago(60) })] }), [], 'replaced')
  t.same(texts({ nodes: [...WELL.nodes!, node('gateway', { state: 'stopped', seen_at: ago(60) })] }), [], 'stopped')
  t.same(texts({ nodes: [...WELL.nodes!, node('gateway', { state: 'silent', seen_at: ago(7200) })] }), [], 'long ago')
})
