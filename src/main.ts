/** Entry of one process: `node src/main.ts gateway jobs`, `… projector`, `… migrate`, with the roles as arguments. For people there is `millrace gateway`. */
import './compile-cache.ts'

const { runRoles } = await import('./roles/process.ts')
await runRoles(process.argv.slice(2))
