/**
 * The embedded Postgres of `npm start`: durable, loopback only, with a password, its data in DATA_DIR/postgres.
 *
 * Started as root it runs as another user. If that user cannot get to DATA_DIR (it lies under a folder of mode 0700), the data is put
 * under LIBRARY, a line says where, and a note in DATA_DIR remembers; the same DATA_DIR finds the same data from then on. A Postgres
 * left behind by a killed launcher is taken over: used, and stopped at the end.
 */
import { createHash } from 'node:crypto'
import { chown, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { accountOf, canEnter, canUse, postgresAccount, run, type Account } from './postgres-account.ts'
import { LIBRARY, postgresBinaries } from './postgres-binaries.ts'
import { adoptPostgresServer, ensureDatabase, initPostgres, isInitialised, startPostgresServer } from './postgres-server.ts'
import type { RunningServer } from './processes.ts'
import { keptPassword } from './secrets.ts'
import { StartError } from './start-error.ts'

export const DATABASE = 'millrace'

export interface PostgresOptions {
  dataDir: string
  log: (line: string) => void
  /** The port to use; else a free one. */
  port?: number
  /** Where data goes that the account cannot reach in DATA_DIR. */
  library?: string
  /** Aborted: stop starting, leave no server, throw. */
  signal?: AbortSignal
}

/** Starts it or takes it over; makes its data directory and the database `millrace` first. The caller holds the data directory. Throws StartError. */
export async function startPostgres ({ dataDir, log, port = 0, library = LIBRARY, signal }: PostgresOptions): Promise<RunningServer> {
  const password = keptPassword(dataDir, 'postgres')
  const place = await placeOf(dataDir, library, log)
  const adopted = await adoptPostgresServer({ dataDir: place.dir, password, database: DATABASE, signal })
  if (adopted !== undefined) {
    log(`Postgres still runs (pid ${adopted.id.pid}): taking it over`)
    await ensureDatabase(adopted, password, DATABASE)
    return adopted
  }
  const binaries = await postgresBinaries(place.account, log, library)
  if (!await isInitialised(place.dir)) await initPostgres({ binaries, account: place.account, dataDir: place.dir, password })
  const logFile = join(dataDir, 'postgres.log')
  const server = await startPostgresServer({ binaries, account: place.account, dataDir: place.dir, logFile, password, port, database: DATABASE, signal })
  try {
    await ensureDatabase(server, password, DATABASE)
  } catch (error) {
    await server.stop()
    throw error
  }
  return server
}

interface Place { readonly dir: string, readonly account: Account | undefined }

/** Where the data is or shall be, and who runs the server over it. `dir` may not exist yet; its parent does and the account can write there. */
async function placeOf (dataDir: string, library: string, log: (line: string) => void): Promise<Place> {
  const home = join(dataDir, 'postgres') // the data directory is made in here, beside initdb's own files
  const note = join(dataDir, 'postgres.moved')
  const owner = await ownerOf(join(home, 'data')) ?? await ownerOf(home)
  const me = process.getuid?.()
  if (me !== 0) {
    if (owner !== undefined && owner !== me) throw new StartError(`${home} belongs to another user (uid ${owner}): start as the one who started it before, or set DATA_DIR to another`)
    const moved = await readFile(note, 'utf8').catch(() => undefined)
    if (moved !== undefined) throw new StartError(`the data of Postgres was put to ${moved.trim()} by root: start as root again, or set DATA_DIR to another`)
    await mkdir(home, { recursive: true, mode: 0o700 })
    return { dir: join(home, 'data'), account: undefined }
  }

  const account = owner !== undefined && owner !== 0 ? await accountOf(owner) ?? await postgresAccount() : await postgresAccount()
  if (account === undefined) throw new Error('root has no account for Postgres') // postgresAccount() throws before
  let moved = await readFile(note, 'utf8').then(text => text.trim(), () => undefined)
  if (moved === undefined) {
    await own(home, account)
    if (await canUse(account, home)) return { dir: join(home, 'data'), account }
    moved = join(library, createHash('sha256').update(await realpath(dataDir)).digest('hex').slice(0, 16))
    await prepareElsewhere(moved, account, { dataDir, home, log })
    await writeFile(note, `${moved}\n`, { mode: 0o600, flush: true })
  }
  log(`User ${account.name}, whom Postgres runs as, cannot reach ${dataDir}: the data of Postgres is in ${moved}`)
  // Only after the note: a start that is killed while it moves the data is finished by the next one.
  if (await isInitialised(join(home, 'data'))) await moveTree(home, moved)
  const movedOwner = await ownerOf(moved)
  if (movedOwner === undefined) throw new StartError(`${note} says that the data of Postgres is in ${moved}, and it is not there: put it back, or remove ${note} to begin with an empty one`)
  return { dir: join(moved, 'data'), account: await accountOf(movedOwner) ?? account }
}

/** Makes the place where data goes that cannot be in DATA_DIR, unless data is about to be moved there. */
async function prepareElsewhere (place: string, account: Account, { dataDir, home, log }: { dataDir: string, home: string, log: (line: string) => void }): Promise<void> {
  await mkdir(dirname(place), { recursive: true, mode: 0o755 })
  if (await ownerOf(place) !== undefined) { // of a data directory of the same name that was deleted
    const aside = `${place}.${new Date().toISOString().replaceAll(':', '')}`
    await rename(place, aside)
    log(`An older ${dataDir} left data of Postgres behind: it was set aside as ${aside}`)
  }
  if (!await canEnter(account, dirname(place))) {
    throw new StartError(`user ${account.name}, whom Postgres runs as, can reach neither ${home} nor ${dirname(place)}: set DATA_DIR to a place that it can reach, or set DATABASE_URL`)
  }
  if (!await isInitialised(join(home, 'data'))) await own(place, account)
}

/** In one step where both are on one disk, else by a copy that becomes the target when it is whole. */
async function moveTree (from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
    await rm(`${to}.half`, { recursive: true, force: true })
    const { code, err } = await run('cp', ['-a', from, `${to}.half`])
    if (code !== 0) throw new StartError(`the data of Postgres could not be moved to ${to}: ${err.trim()}`)
    await rename(`${to}.half`, to)
    await rm(from, { recursive: true, force: true })
  }
}

async function own (dir: string, account: Account): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  await chown(dir, account.uid, account.gid)
}

async function ownerOf (path: string): Promise<number | undefined> {
  return await stat(path).then(found => found.uid, () => undefined)
}
