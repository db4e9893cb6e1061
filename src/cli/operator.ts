/**
 * `millrace operator`: who may act for the deployment itself. By the command line only, so that nobody who got hold of an operator's
 * session can make more of them, and so that there is a first one.
 */
import { usernameKey } from '../auth/usernames.ts'
import type { Config } from '../config.ts'
import { accountOfCommandLine, noteAct } from '../operations/acts.ts'
import { listOperators, setOperator } from '../store/operators.ts'
import { openStore, type Store } from '../store/pool.ts'
import { createLogger } from '../telemetry/logging.ts'
import { CommandFailed, UsageError } from './errors.ts'
import { reachStores } from './reach.ts'

export async function operatorCommand (args: string[], given: Config): Promise<number> {
  const [action = '', username = ''] = args
  if (!(action === 'list' && args.length === 1) && !(['add', 'remove'].includes(action) && args.length === 2 && username !== '')) throw new UsageError('Say list, or add or remove with the name of a user.')
  const { DATABASE_URL } = reachStores(given)
  const store = await openStore({ url: DATABASE_URL, max: 2, name: 'operator', log: createLogger({ level: 'fatal', role: 'operator' }) })
  try {
    if (action === 'list') await list(store)
    else await change(store, username, action === 'add')
    return 0
  } finally {
    await store.close()
  }
}

async function list (store: Store): Promise<void> {
  const operators = await listOperators(store)
  for (const { id, username, disabled_at } of operators) process.stdout.write(`${username} ${id}${disabled_at === null ? '' : ` (disabled since ${disabled_at.toISOString()})`}\n`)
  if (operators.length === 0) process.stdout.write('There are no operators.\n')
}

async function change (store: Store, username: string, operator: boolean): Promise<void> {
  const user = username.includes('\0') ? undefined : await setOperator(store, usernameKey(username), operator)
  if (user === undefined) throw new CommandFailed(`There is no user ${JSON.stringify(username)}.`)
  if (user.changed) await noteAct(store, { operator: accountOfCommandLine(), action: operator ? 'operator add' : 'operator remove', user_id: user.id })
  process.stdout.write(`${username} is ${operator ? 'an operator' : 'no operator'}${user.changed ? '' : ' already'}.\n`)
}
