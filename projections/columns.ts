/**
 * Columns for set-based SQL: values gathered row by row and handed to `unnest` as Postgres array literals. Built here and
 * not by the driver, which looks at every element's type and takes three times as long. Every text is quoted, every number
 * checked, so that no value can break out of its place.
 */
import { CorruptEvent } from '../src/log/codec.ts'

type Value = string | number | null | undefined

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

function literalOf (value: Value): string {
  if (value === null || value === undefined) return 'NULL'
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  if (typeof value === 'string') return `"${/["\\]/.test(value) ? value.replace(/["\\]/g, '\\$&') : value}"`
  throw new CorruptEvent(`${JSON.stringify(value)} is neither a text nor a whole number`)
}
