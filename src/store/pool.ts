/**
 * The one door to Postgres: a pool with bounds, transactions, and what its errors mean. SQL lives beside the question it
 * answers, in the other files of `store/` and in `projections/`.
 */
import type { Socket } from 'node:net'
import pg from 'pg'
import type { Logger } from 'pino'
import { activeSpan, childOf, endSpan, isTracing } from '../telemetry/tracing.ts'

export type Client = pg.PoolClient
/** Whatever runs a query: the pool or a client inside a transaction. */
export type Queryable = Pick<pg.ClientBase, 'query'>

const STATEMENT_MS = 30_000
/** A server that is there has answered by then, if only with an error. */
const SILENCE_MS = STATEMENT_MS + 5000
/** What pg says when its own `query_timeout`, which a URL may set, is over. */
const SILENT = 'Query read timeout'

/** Times leave Postgres as Date, bigints (seqs, below 2^53) as number, json as the text that was stored. */
const types = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (oid === pg.types.builtins.INT8) return Number
    if (oid === pg.types.builtins.JSON) return (value: string) => value
    return pg.types.getTypeParser(oid, format as 'text')
  }) as typeof pg.types.getTypeParser,
}

export interface Store extends Queryable {
  /** Runs `work` in a transaction: commits what it returns, rolls back when it throws. */
  transaction: <T>(work: (client: Client) => Promise<T>) => Promise<T>
  /** A connection of its own (for advisory locks); the caller releases it. */
  connect: () => Promise<Client>
  /** Connections: in use, idle, and callers that wait. */
  stats: () => { total: number, idle: number, waiting: number }
  close: () => Promise<void>
}

/** What a person must change before Millrace can start; the message is one line without the password. */
export class PostgresUnfit extends Error {
  override name = 'PostgresUnfit'
}

/**
 * Opens the pool and proves that Postgres answers. Throws PostgresUnfit.
 * @param max connections · @param silenceMs after which a connection that owes an answer is given up
 */
export async function openStore ({ url, max, name, log, silenceMs = SILENCE_MS }: { url: string, max: number, name: string, log: Logger, silenceMs?: number }): Promise<Store> {
  const pool = new pg.Pool({
    connectionString: url,
    max,
    types,
    application_name: `millrace-${name}`,
    connectionTimeoutMillis: 3000,
    idleTimeoutMillis: 30000,
    statement_timeout: STATEMENT_MS,
    idle_in_transaction_session_timeout: 60000,
    // The other end: when this process vanishes without a word, Postgres gives its locks free after 20 s, not after two hours.
    onConnect: async client => { await client.query('SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3') },
    keepAlive: true,
    keepAliveInitialDelayMillis: 5000, // not the kernel's two hours: an idle connection whose server vanished is gone 15 s later
  })
  // The pool hears a connection only while it is idle. One that breaks while it is lent out tells the statement under way, and emits an
  // error besides, which would end the process.
  pool.on('connect', client => {
    client.on('error', () => {})
    endWhenSilent(client, silenceMs)
    if (isTracing()) client.query = tracedQuery(client.query.bind(client) as Query) as never
  })
  // An idle connection that breaks is replaced by the pool; without a listener it would end the process.
  pool.on('error', error => { log.warn({ reason: error.message }, 'an idle connection to Postgres broke') })
  try {
    const { rows: [row] } = await pool.query<{ version: number }>("SELECT current_setting('server_version_num')::int AS version")
    if (row !== undefined && row.version < 150000) throw new Error(`it is version ${Math.floor(row.version / 10000)}, and Millrace needs 15 or newer`)
  } catch (error) {
    await pool.end()
    throw new PostgresUnfit(`Postgres at ${where(url)} cannot be used: ${reasonOf(error)}. Start it, or correct DATABASE_URL.`)
  }
  let closing: Promise<void> | undefined

  return {
    query: (isTracing() ? tracedQuery(pool.query.bind(pool) as Query) : pool.query.bind(pool)) as Queryable['query'],
    connect: async () => await pool.connect(),
    async transaction (work) {
      const client = await pool.connect()
      let broken: Error | undefined
      try {
        await client.query('BEGIN')
        const result = await work(client)
        await client.query('COMMIT')
        return result
      } catch (error) {
        // A connection that is silent, or whose ROLLBACK fails, is in an unknown state: it is not given back.
        if ((error as Error).message === SILENT) broken = error as Error
        else await client.query('ROLLBACK').catch((failure: Error) => { broken = failure })
        throw error
      } finally {
        client.release(broken)
      }
    },
    stats: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: async () => { closing ??= pool.end(); await closing },
  }
}

type Query = (...args: unknown[]) => unknown

/** Each statement that is run as part of a trace is a span, by its name or its verb: never with its values. */
function tracedQuery (query: Query): Query {
  return (...args) => {
    const parent = typeof args.at(-1) === 'function' ? undefined : activeSpan() // the pool asks with a callback what was asked of it
    if (parent === undefined) return query(...args)
    const { name, text = args[0] } = args[0] as { name?: string, text?: unknown }
    const operation = name ?? /\w+/.exec(String(text))?.[0].toUpperCase() ?? 'query'
    const span = childOf(parent, `postgres ${operation}`, { 'db.system.name': 'postgresql', 'db.operation.name': operation })
    const answer = query(...args)
    void (answer as Promise<unknown>).then(() => { endSpan(span) }, (error: Error) => { endSpan(span, sqlStateOf(error) ?? error.name) })
    return answer
  }
}

/**
 * Ends a connection on which nothing came for so long while a statement waits for its answer. A timer of the socket's, not pg's
 * `query_timeout`: that makes one for each statement, and what hangs on it outlives the young generation (resuming a room of
 * 1,000,000 events from the archive took the gateway 240 MB with it).
 */
function endWhenSilent (client: pg.ClientBase, ms: number): void {
  const inside = client as unknown as { readonly connection: { readonly stream: Socket }, readonly _activeQuery: object | null }
  const { stream } = inside.connection
  stream.setTimeout(ms, () => { if (inside._activeQuery !== null) stream.destroy(new Error(SILENT)) })
}

/** SQLSTATE of an error of Postgres, else undefined. */
export function sqlStateOf (error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

/** True where Postgres cannot be reached or cannot work now: connection, resources, shutdown, time-out, lock, deadlock. */
export function isUnavailable (error: unknown): boolean {
  const state = sqlStateOf(error)
  if (state !== undefined) return /^(08|40|53|55|57|58|XX)/.test(state)
  const { code, message } = error as { code?: string, message?: string }
  return /^E[A-Z]+$/.test(code ?? '') || /timeout|terminated|Connection|connect/i.test(message ?? '')
}

function where (url: string): string {
  try {
    const { hostname, port, pathname } = new URL(url)
    return `${hostname}:${port === '' ? '5432' : port}${pathname}`
  } catch {
    return 'the given URL'
  }
}

function reasonOf (error: unknown): string {
  const { code, message, errors } = error as { code?: string, message?: string, errors?: Error[] }
  if (message !== undefined && message !== '') return message
  return errors?.[0]?.message ?? code ?? 'no answer' // Node joins the failures of several addresses in an AggregateError without text
}
