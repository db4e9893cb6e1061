/** A projector process for tests that kill one: both projections over the servers named in the environment, with short leases. */
import { randomUUID } from 'node:crypto'
import { archive, history, openWorld } from './feed.ts'

const { TEST_REDIS, TEST_DATABASE, TEST_PARTITIONS } = process.env
const world = await openWorld({ redisUrl: TEST_REDIS!, databaseUrl: TEST_DATABASE!, partitions: Number(TEST_PARTITIONS) })
for (const projection of [archive, history]) world.project(projection, { owner: `worker-${process.pid}-${randomUUID()}`, leaseMs: 1000, batchEvents: 100, lingerMs: 0 })
console.log('started')
process.once('SIGTERM', () => { void world.close().then(() => { process.exit(0) }) })
