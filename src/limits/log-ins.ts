/**
 * Accounts with a limit around passwords: wrong ones count against the user, whoever guesses and from wherever. One is taken
 * before the password is looked at, so that guesses at the same time count as well, and given back unless it was wrong.
 */
import { hash } from 'node:crypto'
import type { Accounts } from '../auth/accounts.ts'
import { usernameKey } from '../auth/usernames.ts'
import { reject, type Rejection } from '../domain/rejections.ts'
import type { Limits } from './limits.ts'

const DETAIL = 'Too many wrong passwords for this user: try again later'

type Result = { readonly ok: true } | { readonly ok: false, readonly rejection: Rejection }

export function limitLogIns<A extends Pick<Accounts, 'logIn' | 'changePassword'>> ({ accounts, limits }: { accounts: A, limits: Limits }): A {
  async function limited<R extends Result> (key: string, look: () => Promise<R>): Promise<R | Extract<Result, { ok: false }>> {
    const waitMs = await limits.take('login_failures', key)
    if (waitMs > 0) return { ok: false, rejection: reject('rate_limited', DETAIL, waitMs) }
    let wrong = false
    try {
      const result = await look()
      wrong = !result.ok && result.rejection.code === 'bad_credentials'
      return result
    } finally {
      if (!wrong) await limits.giveBack('login_failures', key)
    }
  }

  return {
    ...accounts,
    logIn: async (username, ...rest) => await limited(nameKey(username), async () => await accounts.logIn(username, ...rest)),
    changePassword: async (who, ...rest) => await limited(who.user_id, async () => await accounts.changePassword(who, ...rest)),
  } satisfies Pick<Accounts, 'logIn' | 'changePassword'> & A
}

/** Of any length and with any characters, as strangers type them: the name of a key is neither. */
function nameKey (username: string): string {
  return hash('sha256', usernameKey(username), 'base64url')
}
