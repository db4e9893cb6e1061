/**
 * Many new rows at once by COPY: a third cheaper for both sides than INSERT from `unnest`, and as safe: it is part of the transaction,
 * and what Postgres will not take fails with the same SQLSTATE. pg has no COPY of its own but hands on its messages.
 */
import { activeSpan, childOf, endSpan } from '../telemetry/tracing.ts'
import { sqlStateOf, type Queryable } from './pool.ts'

/** What pg's connection has for COPY and its types do not say. */
interface Connection {
  readonly stream: { cork: () => void, uncork: () => void }
  query: (text: string) => void
  sendCopyFromChunk: (chunk: Buffer) => void
  endCopyFrom: () => void
}

type Callback = (error?: Error) => void

/** A statement as pg runs it: `client.query` sets `callback`, and its connection calls the rest. */
class Copy {
  callback: Callback | undefined
  readonly text: string
  readonly #chunks: readonly string[]

  constructor (text: string, chunks: readonly string[]) {
    this.text = text
    this.#chunks = chunks
  }

  submit (connection: unknown): void {
    (connection as Connection).query(this.text)
  }

  /** All at once: after an error, Postgres passes over what is still on its way. */
  handleCopyInResponse (connection: Connection): void {
    connection.stream.cork()
    for (const chunk of this.#chunks) connection.sendCopyFromChunk(Buffer.from(chunk))
    connection.endCopyFrom()
    connection.stream.uncork()
  }

  handleCommandComplete (): void {}
  handleReadyForQuery (): void { this.callback?.() }
  handleError (error: Error): void { this.callback?.(error) }
}

/** @param chunks lines of COPY's text format, each ended by a line break; without any, nothing is asked */
export async function copyInto (tx: Queryable, table: string, columns: readonly string[], chunks: readonly string[]): Promise<void> {
  if (chunks.length === 0) return
  const span = childOf(activeSpan(), `postgres copy ${table}`, { 'db.system.name': 'postgresql', 'db.operation.name': `copy ${table}` })
  const copy = new Copy(`COPY ${table} (${columns.join(', ')}) FROM STDIN`, chunks)
  const query = tx.query as unknown as (copy: Copy, callback: Callback) => void
  try {
    await new Promise<void>((resolve, reject) => { query.call(tx, copy, error => { if (error) reject(error); else resolve() }) })
  } catch (error) {
    endSpan(span, sqlStateOf(error) ?? (error as Error).name)
    throw error
  }
  endSpan(span)
}
