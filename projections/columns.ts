/**
 * Values for set-based SQL, gathered row by row: as columns that are handed to `unnest` as Postgres array literals, or as lines for
 * COPY, which is cheaper where rows are only added. Built here and not by the driver, which looks at every element's type and
 * takes three times as long. Every text is quoted, every number checked, so that no value can break out of its place.
 */
import { CorruptEvent } from '../src/log/codec.ts'

type Value = string | number | null | undefined

/** Lines are handed on in chunks of about so many characters. */
const CHUNK_CHARS = 65_536

/** Columns of one statement, `names` in the order of its parameters. */
export function createColumns (width: number) {
  const columns = Array.from({ length: width }, () => [] as string[])
  return {
    get rows (): number { return columns[0]?.length ?? 0 },
    /** Adds a row. Values other than texts, whole numbers and null (undefined) throw CorruptEvent. */
    add (...values: Value[]): void {
      const literals = values.map(literalOf) // all of them first: a bad value must not leave columns of different lengths
      literals.forEach((literal, i) => { columns[i]!.push(literal) })
    },
    /** One array literal for each column. */
    parameters: (): string[] => columns.map(column => `{${column.join(',')}}`),
  }
}

/** Lines of COPY's text format. */
export function createLines () {
  const chunks: string[] = []
  let chunk = ''
  return {
    /** Adds a row, its values in the order of the columns that are copied into. Values other than texts, whole numbers and null (undefined) throw CorruptEvent. */
    add (...values: Value[]): void {
      let line = ''
      for (const value of values) line += `${line === '' ? '' : '\t'}${fieldOf(value)}`
      chunk += `${line}\n`
      if (chunk.length < CHUNK_CHARS) return
      chunks.push(chunk)
      chunk = ''
    },
    chunks: (): readonly string[] => chunk === '' ? chunks : [...chunks, chunk],
  }
}

function literalOf (value: Value): string {
  if (value === null || value === undefined) return 'NULL'
  if (typeof value === 'string') return `"${/["\\]/.test(value) ? value.replace(/["\\]/g, '\\$&') : value}"`
  return wholeOf(value)
}

const ESCAPED: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

function fieldOf (value: Value): string {
  if (value === null || value === undefined) return '\\N'
  if (typeof value === 'string') return /[\\\t\n\r]/.test(value) ? value.replace(/[\\\t\n\r]/g, sign => ESCAPED[sign]!) : value
  return wholeOf(value)
}

function wholeOf (value: number): string {
  if (Number.isSafeInteger(value)) return String(value)
  throw new CorruptEvent(`${JSON.stringify(value)} is neither a text nor a whole number`)
}
