/**
 * Asks the Redis and the Postgres that were given (REDIS_URL, DATABASE_URL) whether they are there and will do, before
 * anything is started. Refuses with one line that names the variable and the address, never the password.
 */
import { tooOld } from './redis-binary.ts'
import { askPostgres } from './postgres-server.ts'
import { askRedis } from './redis-server.ts'
import { StartError } from './start-error.ts'

const OLDEST_POSTGRES = 15
const ANSWER_MS = 3000

/** Throws StartError when nobody answers there, the password is wrong, or it is older than Redis 7.0 or Valkey 7.2. */
export async function checkGivenRedis (url: string): Promise<void> {
  const at = `REDIS_URL (${address('REDIS_URL', url)})`
  const { info, error } = await askRedis(url, { timeoutMs: ANSWER_MS })
  if (info === undefined) throw new StartError(`${at} cannot be used (${cleaned(error, url)}): start that Redis or correct REDIS_URL; without it, a private Redis is run`)
  const old = tooOld(info)
  if (old !== undefined) throw new StartError(`${at} is ${old}: upgrade it, or leave REDIS_URL out and a private Redis is run`)
}

/** Throws StartError when nobody answers there, the password or the database is wrong, or it is older than Postgres 15. */
export async function checkGivenPostgres (url: string): Promise<void> {
  const at = `DATABASE_URL (${address('DATABASE_URL', url)})`
  const { rows, error } = await askPostgres(url, 'SHOW server_version_num', ANSWER_MS)
  if (rows === undefined) throw new StartError(`${at} cannot be used (${cleaned(error, url)}): start that Postgres or correct DATABASE_URL; without it, an embedded Postgres is run`)
  const version = Math.floor(Number(rows[0]?.server_version_num) / 10_000)
  if (version < OLDEST_POSTGRES) throw new StartError(`${at} is Postgres ${version}, and Millrace needs ${OLDEST_POSTGRES}: upgrade it, or leave DATABASE_URL out and an embedded Postgres is run`)
}

/** The URL without user, password and parameters (which may hold them too). */
function address (variable: string, url: string): string {
  if (!URL.canParse(url)) throw new StartError(`${variable} is not a URL: write special characters in its password in percent encoding`)
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}

/** An error's text in one line, its password blanked should a library ever put it there. */
function cleaned (error: string | undefined, url: string): string {
  const { password } = new URL(url)
  let text = (error ?? 'no answer').split('\n')[0] ?? ''
  for (const secret of [password, decodeURIComponent(password)]) if (secret !== '') text = text.replaceAll(secret, '…')
  return text
}
