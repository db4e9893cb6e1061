/** Times as people say them, in their own language and time zone. */
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', month: 'long', day: 'numeric' })
const DAY_OF_YEAR = new Intl.DateTimeFormat(undefined, { weekday: 'short', year: 'numeric', month: 'long', day: 'numeric' })
const SHORT_DAY = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' })
const SHORT_DAY_OF_YEAR = new Intl.DateTimeFormat(undefined, { year: 'numeric', month: 'short', day: 'numeric' })
const WEEKDAY = new Intl.DateTimeFormat(undefined, { weekday: 'short' })
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' })
const DAY_MS = 86_400_000
/** Of an ISO 8601 timestamp in UTC: up to its minutes. */
const MINUTE_CHARS = 16

const midnight = (date: Date): number => new Date(date).setHours(0, 0, 0, 0)
const daysAgo = (date: Date): number => Math.round((midnight(new Date()) - midnight(date)) / DAY_MS)

/** Of the minute that was asked for last: messages stand close to each other. */
let lastMinute = ''
let lastClock = ''

export function clock (timestamp: string): string {
  const minute = timestamp.slice(0, MINUTE_CHARS)
  if (minute !== lastMinute) {
    lastMinute = minute
    lastClock = CLOCK.format(new Date(timestamp))
  }
  return lastClock
}

export const fully = (timestamp: string): string => FULL.format(new Date(timestamp))

/** Today, Yesterday, Monday, 3 June. */
export function day (timestamp: string): string {
  const date = new Date(timestamp)
  const ago = daysAgo(date)
  if (ago === 0) return 'Today'
  if (ago === 1) return 'Yesterday'
  return date.getFullYear() === new Date().getFullYear() ? DAY.format(date) : DAY_OF_YEAR.format(date)
}

/** As short as it can be, for lists: 14:05, Mon, Jun 3. */
export function brief (timestamp: string): string {
  const date = new Date(timestamp)
  const ago = daysAgo(date)
  return ago === 0 ? CLOCK.format(date) : ago < 7 ? WEEKDAY.format(date) : SHORT_DAY.format(date)
}

/** When, for lists of messages of any age: 14:05, Mon 14:05, Jun 3, Jun 3, 2025. */
export function moment (timestamp: string): string {
  const date = new Date(timestamp)
  const ago = daysAgo(date)
  if (ago === 0) return CLOCK.format(date)
  if (ago < 7) return `${WEEKDAY.format(date)} ${CLOCK.format(date)}`
  return date.getFullYear() === new Date().getFullYear() ? SHORT_DAY.format(date) : SHORT_DAY_OF_YEAR.format(date)
}
