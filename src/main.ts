/** Entry of one process: `node src/main.ts gateway jobs`, `… projector`, `… migrate`, with the roles as arguments. For people there is `millrace gateway`. */
import { runRoles } from './roles/process.ts'

await runRoles(process.argv.slice(2))
