/**
 * Which statements Postgres executes, by who sent them: it is told to log them all (`log_statement`), and what its log has gained since
 * the last look is counted. Exact, at once, and says what was asked; its counters (`pg_stat_database`) lag by up to ten seconds and do not.
 */
import { open, stat } from 'node:fs/promises'
import { openStore } from '../src/store/pool.ts'
import { createLogger } from '../src/telemetry/logging.ts'
import type { Millrace } from './processes.ts'

/** What holds events and positions of rooms. Asked for these, a gateway goes to the archive; but not where it asks, now and then, how far behind projections are. */
const POSITIONS = /\b(events|room_state|member_state|checkpoints)\b/
const LAG = /\b(parked_rooms|workers)\b|AS events, min\(created_at\)/
const BEGINS = /^([\w-]*)\|\w+: {2}/
const STATEMENT = /^millrace-gateway\|LOG: {2}(?:execute (?:<unnamed>|([^:]+)):|statement:) *(.*)$/

export interface Statements {
  /** Of gateways, for events and positions. */
  positions: number
  /** Of gateways, for anything else: presence, accounts. */
  others: number
  /** How many of each: by its name, else by how it begins. */
  by: Record<string, number>
}

export async function watchStatements ({ databaseUrl, postgresLog }: Pick<Millrace, 'databaseUrl' | 'postgresLog'>): Promise<{ since: () => Promise<Statements> }> {
  const store = await openStore({ url: databaseUrl, max: 1, name: 'bench', log: createLogger({ level: 'silent', role: 'bench' }) })
  for (const setting of ["log_line_prefix = '%a|'", "log_statement = 'all'", 'log_parameter_max_length = 0']) await store.query(`ALTER SYSTEM SET ${setting}`)
  await store.query('SELECT pg_reload_conf()')
  await store.close()
  let at = (await stat(postgresLog)).size

  return {
    async since () {
      const file = await open(postgresLog)
      const { size } = await file.stat()
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(size - at), position: at })
      await file.close()
      at += bytesRead
      return count(buffer.toString('utf8', 0, bytesRead))
    },
  }
}

function count (log: string): Statements {
  const found: Statements = { positions: 0, others: 0, by: {} }
  const lines = log.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const match = STATEMENT.exec(lines[i]!)
    if (match === null) continue
    let text = match[2]!
    while (i + 1 < lines.length && !BEGINS.test(lines[i + 1]!)) text += ` ${lines[++i]!.trim()}` // the lines of one statement
    const name = match[1] ?? text.trim().slice(0, 60)
    found.by[name] = (found.by[name] ?? 0) + 1
    if (POSITIONS.test(text) && !LAG.test(text)) found.positions += 1
    else found.others += 1
  }
  return found
}
