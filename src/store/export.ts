/**
 * Rows for taking away, in the order of room and seq: messages as they are now, or the archive's events. Read through a cursor in
 * Postgres, so memory is bounded however many they are, and in one snapshot, so what happens meanwhile changes nothing.
 * Of deleted messages, and of their edits, there are tombstones. Reads as the owner: for operators, not for users.
 */
import { sqlStateOf, type Queryable, type Store } from './pool.ts'

/** Rows that are in memory at a time; of the longest messages, some 16 MB. */
const BATCH_ROWS = 500
/** Longest that one statement may take: counting a hundred million messages, or sorting them where the planner thinks that better. */
const STATEMENT_MS = 3_600_000
const CANCELED = '57014'

export interface ExportQuery {
  readonly what: keyof typeof EXPORTS
  readonly since: Date
  /** Only what was before this. */
  readonly until?: Date | undefined
  readonly room_id?: string | undefined
}

/** By column, in their order. Times are Date, `json` is the text that was stored. */
export type ExportRow = Readonly<Record<string, unknown>>

/** Columns by name, with what they are made of. `json`: columns that hold the text of a JSON value. */
export const EXPORTS = {
  messages: {
    table: 'messages',
    columns: {
      room_id: 'room_id',
      seq: 'seq',
      event_id: 'event_id',
      user_id: 'user_id',
      username: '(SELECT username FROM users WHERE id = user_id)', // a join might not keep the order of the index
      sent_at: 'timestamp',
      content: 'CASE WHEN NOT deleted THEN content END',
      edited_at: 'edited_at',
      deleted: 'deleted',
      reply_to: 'reply_to',
      thread: 'thread',
      mentions: "coalesce(array_to_json(mentions), '[]')",
      mentions_room: 'mentions_room',
      attachments: "coalesce(attachments, '[]')",
    },
    json: ['mentions', 'attachments'],
  },
  events: {
    table: 'events',
    columns: { room_id: 'room_id', seq: 'seq', chain: 'chain', event_id: 'event_id', user_id: 'user_id', type: 'type', v: 'v', timestamp: 'timestamp', data: 'data' },
    json: ['data'],
  },
} as const

/**
 * Hands batch after batch to `take`, the next when it is done with the last, with the number of all rows. Ends early when `signal` is
 * aborted. Throws what Postgres throws, and what `take` throws.
 */
export async function exportRows (store: Store, query: ExportQuery, take: (rows: ExportRow[], total: number) => Promise<void>, signal: AbortSignal): Promise<void> {
  const { table, columns } = EXPORTS[query.what]
  const list = Object.entries(columns).map(([name, made]) => `${made} AS ${name}`).join(', ')
  const { where, values } = conditions(query)
  await store.transaction(async tx => {
    // Whoever reads the rows may take their time; and one snapshot is for the number and for the rows.
    await tx.query(`
      SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
      SET LOCAL statement_timeout = 0;
      SET LOCAL idle_in_transaction_session_timeout = 0`)
    const long = cancellable(store, tx, await backendOf(tx), signal)
    const [counted] = await long<{ total: number }>(`SELECT count(*) AS total FROM ${table} WHERE ${where}`, values)
    await tx.query(`DECLARE exported NO SCROLL CURSOR FOR SELECT ${list} FROM ${table} WHERE ${where} ORDER BY room_id, seq`, values)
    while (!signal.aborted) {
      const rows = await long<ExportRow>(`FETCH ${BATCH_ROWS} FROM exported`)
      if (rows.length > 0) await take(rows, counted?.total ?? 0)
      if (rows.length < BATCH_ROWS) break
    }
  }).catch((error: unknown) => {
    if (!signal.aborted || sqlStateOf(error) !== CANCELED) throw error
  })
}

async function backendOf (tx: Queryable): Promise<number> {
  const { rows: [row] } = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  return row!.pid
}

/** Runs statements that may take long, and has Postgres give up the one under way when `signal` is aborted. */
function cancellable (store: Queryable, tx: Queryable, pid: number, signal: AbortSignal) {
  return async <R extends object>(text: string, values: unknown[] = []): Promise<R[]> => {
    const cancel = (): void => { store.query('SELECT pg_cancel_backend($1)', [pid]).catch(() => {}) } // not canceled, it ends by itself
    signal.addEventListener('abort', cancel, { once: true })
    try {
      const timed = { text, values, query_timeout: STATEMENT_MS } // pg knows it, and its types do not
      return (await tx.query<R>(timed)).rows
    } finally {
      signal.removeEventListener('abort', cancel)
    }
  }
}

function conditions ({ since, until, room_id }: ExportQuery): { where: string, values: unknown[] } {
  const values: unknown[] = [since]
  const also = [
    ...until === undefined ? [] : [`timestamp < $${values.push(until)}`],
    ...room_id === undefined ? [] : [`room_id = $${values.push(room_id)}`],
  ]
  return { where: ['timestamp >= $1', ...also].join(' AND '), values }
}
