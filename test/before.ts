// Runs once before all tests: brings what they share, so that two test files do not install or prepare it at the same time.
import { startTestPostgres, startTestRedis } from './dev/servers.ts'

for (const server of await Promise.all([startTestRedis(), startTestPostgres()])) await server.stop()
