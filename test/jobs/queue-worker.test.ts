// A queue worked off in slots, on a real pg-boss: nobody waits for the slowest, a host has its share and no more, and what a process that
// stops leaves undone is done by another.
import t from 'tap'
import { startJobs, type Jobs } from '../../src/jobs/jobs.ts'
import type { Attempt, Queue } from '../../src/jobs/queue-worker.ts'
import { openStore } from '../../src/store/pool.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { testPostgres } from '../dev/servers.ts'
import { until } from '../until.ts'

const PER_HOST_MAX = 3
const logger = createLogger({ level: 'silent', role: 'test' })
const postgres = await testPostgres(t)

/** Jobs with one queue, whose attempts end when `answer` says so; by what they were asked for. */
async function world (t: { teardown: (fn: () => Promise<void>) => unknown }) {
  const url = await postgres.createDatabase()
  const store = await openStore({ url, max: 2, name: 'test', log: logger })
  t.teardown(async () => { await store.close() })
  const asked: string[] = []
  const open = new Map<string, (done: boolean) => void>()
  const queue: Queue = {
    name: 'things',
    retries: 5,
    pauseS: 1,
    pauseMaxS: 1,
    perHostMax: PER_HOST_MAX,
    attempt: async (id: string, { signal }: Attempt) => {
      asked.push(id)
      return await new Promise<boolean>(resolve => {
        open.set(id, done => { open.delete(id); resolve(done) })
        signal.addEventListener('abort', () => { open.get(id)?.(false) })
      })
    },
    bury: async () => {},
  }
  return {
    asked,
    open,
    start: async (drainMs = 100): Promise<Jobs> => {
      const jobs = await startJobs({ url, jobs: [], queues: [queue], logger, drainMs })
      t.teardown(async () => { await jobs.stop() })
      return jobs
    },
    put: async (jobs: Jobs, host: string, ...ids: string[]) => await store.transaction(async tx => { await jobs.enqueue(tx, 'things', ids.map(id => ({ id, url: `https://${host}/x` }))) }),
    states: async () => Object.fromEntries((await store.query<{ id: string, state: string }>("SELECT data->>'id' AS id, state FROM pgboss.job WHERE name = 'things'")).rows.map(({ id, state }) => [id, state])),
  }
}

// It was so with pg-boss' own workers, which have done with a batch when all of it is done: as many slow hosts as workers held up everybody.
t.test('what is slow delays nothing else, however many hosts are slow', async t => {
  const { start, put, asked, open, states } = await world(t)
  const jobs = await start()
  for (let i = 0; i < 7; i++) {
    await put(jobs, `slow-${i}`, `slow ${i}`)
    await until(() => open.has(`slow ${i}`), { what: 'the slow one to be asked' })
  }
  await put(jobs, 'quick', 'quick')
  await until(() => open.has('quick'), { what: 'the quick one to be asked' })
  open.get('quick')!(true)
  await until(async () => (await states()).quick === 'completed', { what: 'the quick one to be settled' })
  t.equal(open.size, 7, 'while the slow ones are still under way')
  t.equal(asked.length, 8)
})

t.test('of one host only so many are under way, and the next begins when one is over', async t => {
  const { start, put, asked, open } = await world(t)
  const jobs = await start()
  const ids = Array.from({ length: 8 }, (_, i) => `of the host ${i}`)
  await put(jobs, 'host', ...ids)
  while (asked.length < ids.length || open.size > 0) {
    await until(() => open.size === Math.min(PER_HOST_MAX, ids.length - asked.length + open.size), { what: 'the host to have its share' })
    t.ok(open.size <= PER_HOST_MAX)
    open.values().next().value!(true)
  }
  t.same(new Set(asked), new Set(ids), 'each once')
  t.equal(asked.length, ids.length)
})

t.test('what a process that stops does not get done is done by another', async t => {
  const { start, put, asked, open, states } = await world(t)
  const first = await start()
  await put(first, 'host', 'left')
  await until(() => open.has('left'))
  await first.stop()
  t.equal(open.size, 0, 'it was given up')
  t.equal((await states()).left, 'retry')
  await start()
  await until(() => open.has('left'), { what: 'the other to be asked' })
  open.get('left')!(true)
  await until(async () => (await states()).left === 'completed')
  t.same(asked, ['left', 'left'])
})
