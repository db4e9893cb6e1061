/** What operators do is written down, by whom and where: in the same table whether it came over HTTP or by the command line. */
import { hostname, userInfo } from 'node:os'
import { uuidv7 } from '../ids.ts'
import { insertAct, type NewAct } from '../store/operators.ts'
import type { Queryable } from '../store/pool.ts'

const NAME_CHARS_MAX = 200

/** Throws what Postgres throws: an act that cannot be noted is to be known. */
export async function noteAct (db: Queryable, act: Omit<NewAct, 'id'>): Promise<void> {
  await insertAct(db, { id: uuidv7(), ...act })
}

/** Who is at the command line: the account of the system, and the host. Nobody signs in there. */
export function accountOfCommandLine (): string {
  return `${account()}@${hostname()}`.slice(0, NAME_CHARS_MAX)
}

function account (): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.() ?? '?'}` // in containers, an ID without a name
  }
}
