/**
 * Reading what pages of users are made of, behind a second fence [G9]: each statement runs in a transaction of its own, as the role
 * `millrace_reader`, which row-level security holds, told which rooms the access check has allowed. A statement that forgets its
 * room, or is given another's, finds nothing. It does not replace the access check, and knows nothing of it.
 *
 * No round trip more: what says the rooms is a prepared statement that is sent ahead of the page's own, in one piece. Up to the Sync
 * at its end both are one transaction, and what was set for it ends with it. pg has no words for that, so its Query is reached
 * into here, and nowhere else. Measured on two cores, a page of 50 messages: 0.31 ms plain, 0.37 to 0.57 ms so, 0.53 to 0.66 ms with
 * BEGIN, SET LOCAL, set_config and COMMIT as statements of their own, each a round trip.
 *
 * Where the role could not be made (migrations/0011_analytics.sql), statements run as they did before; `migrate` warns.
 */
import pg from 'pg'
import type { Client, Queryable, Store } from './pool.ts'

const SAYS_ROOMS = 'millrace_rooms'
/** On a connection's first read: that statement, and whether the role can be taken on. (From 16 on, being a member is not enough.) */
const FIRST_READ = `
  PREPARE ${SAYS_ROOMS} (text) AS
  SELECT set_config('role', 'millrace_reader', true), set_config('millrace.rooms', $1, true);
  SELECT coalesce(pg_has_role(to_regrole('millrace_reader')::oid, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END), false) AS can`

/** What is used of pg's own query, and its types do not tell. */
interface Inside extends pg.Submittable {
  prepare (connection: Connection): void
  handleDataRow (message: unknown): void
  handleCommandComplete (message: unknown, connection: Connection): void
}
interface Connection {
  bind: (config: { statement: string, values: string[] }) => void
  execute: (config: object) => void
}
type Asked = string | pg.QueryConfig
const Query = pg.Query as unknown as new (config: object) => Inside

class FencedQuery extends Query {
  readonly #rooms: string
  #said = false

  constructor (rooms: string, asked: object) {
    super({ ...asked, queryMode: 'extended' }) // the simple protocol would end the transaction before
    this.#rooms = rooms
  }

  override prepare (connection: Connection): void {
    connection.bind({ statement: SAYS_ROOMS, values: [this.#rooms] })
    connection.execute({})
    super.prepare(connection)
  }

  override handleDataRow (message: unknown): void {
    if (this.#said) super.handleDataRow(message)
  }

  override handleCommandComplete (message: unknown, connection: Connection): void {
    if (this.#said) super.handleCommandComplete(message, connection)
    this.#said = true
  }
}

/** Connections that had their first read, and whether the role can be taken on there. */
const ready = new WeakMap<Client, boolean>()

/** The store as somebody may read it who may read these rooms: one statement at a time, and no row of any other room. */
export function asReader (store: Pick<Store, 'connect'>, roomIds: readonly string[]): Queryable {
  const rooms = `{${roomIds.join(',')}}`
  const query = async (asked: Asked, values?: unknown[]): Promise<pg.QueryResult> => {
    const client = await store.connect()
    let failure: Error | undefined
    try {
      if (!ready.has(client)) ready.set(client, await firstRead(client))
      if (ready.get(client) !== true) return await client.query(asked as pg.QueryConfig, values)
      return await fenced(client, rooms, typeof asked === 'string' ? { text: asked, values } : asked)
    } catch (error) {
      failure = error as Error
      throw error
    } finally {
      client.release(failure) // as the pool does it: a connection on which something failed is not used again
    }
  }
  return { query: query as Queryable['query'] }
}

async function firstRead (client: Client): Promise<boolean> {
  const [, { rows }] = await client.query(FIRST_READ) as unknown as [unknown, pg.QueryResult<{ can: boolean }>]
  return rows[0]?.can === true
}

async function fenced (client: Client, rooms: string, asked: object): Promise<pg.QueryResult> {
  return await new Promise((resolve, reject) => {
    const callback = (error: Error | null, result: pg.QueryResult): void => { if (error == null) resolve(result); else reject(error) }
    client.query(new FencedQuery(rooms, { ...asked, callback }))
  })
}
