// Runs once before all tests: brings what they share, so that two test files do not install or prepare it at the same time.
import { buildWeb } from '../src/cli/web-build.ts'
import { keepCompiled } from './dev/compiled.ts'
import { startTestPostgres, startTestRedis } from './dev/servers.ts'

await buildWeb({ out: line => { console.log(line) }, env: process.env })
await keepCompiled()
for (const server of await Promise.all([startTestRedis(), startTestPostgres()])) await server.stop()
