/**
 * Exported rows as text: lines of JSON, or CSV.
 *
 * JSON is exact. CSV is RFC 4180, with a header, for spreadsheets: text that such a program would take for a formula (it begins with
 * = + - @, a tab or a line break) gets a ' in front, for anyone in a room could write one.
 */
import { EXPORTS, type ExportQuery, type ExportRow } from './export.ts'

export const FORMATS = ['ndjson', 'csv'] as const
export type ExportFormat = typeof FORMATS[number]

const FORMULA = /^[=+\-@\t\r\n]/

export interface Lines { readonly header: string, readonly line: (row: ExportRow) => string }

export function linesOf (format: ExportFormat, what: ExportQuery['what']): Lines {
  return format === 'csv' ? csvOf(what) : ndjsonOf(what)
}

/** Columns that hold JSON are set in as they are: an event is the text that was sent. */
function ndjsonOf (what: ExportQuery['what']): Lines {
  const { columns, json } = EXPORTS[what]
  const raw = new Set<string>(json)
  const names = Object.keys(columns)
  return { header: '', line: row => `{${names.map(name => `"${name}":${raw.has(name) ? oneLine(row[name] as string) : JSON.stringify(row[name])}`).join(',')}}\n` }
}

/** JSON has line breaks between its tokens only; within text they are escaped. */
const oneLine = (json: string): string => json.replace(/[\r\n]+/g, ' ')

function csvOf (what: ExportQuery['what']): Lines {
  const names = Object.keys(EXPORTS[what].columns)
  const lineOf = (fields: string[]): string => `${fields.join(',')}\r\n`
  return { header: lineOf(names), line: row => lineOf(names.map(name => csvField(row[name]))) }
}

function csvField (value: unknown): string {
  if (value === null || value === undefined) return ''
  if (value instanceof Date) return value.toISOString()
  const text = typeof value === 'string' && FORMULA.test(value) ? `'${value}` : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
