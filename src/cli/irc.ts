// Reads IRC logs as the Ubuntu channels publish them: text in, actions out, in the order of the lines. Pure: no files,
// no server. Every line is accounted for once: it became an action, it is blank, or it is listed as unread with the
// reason; no text makes it throw. It does not track who is in the room: that a speaker was never seen joining, or that
// who leaves was not there, is for whoever applies the actions. Reasons given for parting or quitting are not kept.
//
//   [HH:MM] <nick> text                        a message
//   [HH:MM]  * nick text                       an action: a message with the content `/me text`
//   === nick [user@host]  has joined #room     a join; also: has left #room [reason], has quit, was kicked from #room
//   === nick is now known as other             a rename
//   === nick text                              how logs until 2007 wrote actions, without a time

import { basename } from 'node:path'

export type IrcAction = {
  /** Line in the file, from 1. */
  line: number
  /** RFC 3339, UTC, milliseconds. Logs know minutes only, so many lines share a time: their order is the lines'. */
  at: string
  kind: 'message' | 'join' | 'leave' | 'rename'
  /** What the line was, where the kind does not say it. */
  form: 'message' | 'action' | 'join' | 'part' | 'quit' | 'kick' | 'rename'
  /** As it is written, without spaces around it: old logs have a space after each `]` within. */
  nick: string
  /** Of a rename: the new nick. */
  to?: string
  /** Of a message: 1–8,000 characters, as they are written. */
  content?: string
}
export type IrcUnread = { line: number, text: string, why: string }
export type IrcLog = { actions: IrcAction[], unread: IrcUnread[], lines: number, blank: number }

type Said = Pick<IrcAction, 'kind' | 'form' | 'nick' | 'to' | 'content'>
/** What a line says by itself. `did` is nick and text of an action, to be told apart with the nicks of the whole log. */
type Reading = { minutes?: number, said?: Said, did?: string, why?: string }

const CONTENT_MAX = 8000
const DAY_MINUTES = 24 * 60
/** A clock that is set back at the end of summer goes back this far and stays on its day. */
const SET_BACK_MINUTES_MAX = 60

// Nicks have no spaces, but the logs of 2004–2007 put one after each `]`: `Cal[] John`, `[FiDo] `. Two spaces, or a
// space and `[`, end the nick there: what follows is its host.
const NICK = String.raw`[^\s<>]+(?:(?<=\]) (?!\[)[^\s<>]+)*`
const HOST = String.raw`(?: +\[\S*\])?`

const TIMED = /^\[(\d\d):(\d\d)\] ?([^]*)$/
const MESSAGE = /^<([^>]+)>(?: ([^]*))?$/
const ACTION = /^ {0,2}\* ([^]*)$/
const JOIN = new RegExp(`^(${NICK})${HOST} +has joined #\\S+\\s*$`)
const PART = new RegExp(`^(${NICK})${HOST} +has left #\\S+(?:\\s[^]*)?$`)
const QUIT = new RegExp(`^(${NICK})${HOST} +has quit(?:\\s[^]*)?$`)
const KICK = new RegExp(`^(${NICK})${HOST} +(?:was|has been) kicked (?:from|off|out of) #\\S+(?:\\s[^]*)?$`)
const RENAME = new RegExp(`^(${NICK}) +is now known as (${NICK})\\s*$`)
const MODE = /^mode\/#/
const TOPIC = /^\S+ (?:has )?(?:changed|set) the topic of #/
const LONG_NICK = new RegExp(`^${NICK}(?= )`)

/**
 * `file` gives the date of the first line by its name (`2004-12-25.txt`), `date` (`2004-12-25`) overrides it; without
 * either, or with one that is not in the calendar, this throws, and only then.
 */
export function parseIrc (text: string, { file, date }: { file: string, date?: string }): IrcLog {
  const day = firstDay(file, date)
  const lines = text.replace(/^\uFEFF/, '').split('\n').map(line => line.replace(/\r$/, ''))
  if (lines.at(-1) === '') lines.pop()

  const readings = lines.map(read)
  const times = timesOf(readings, day)
  const known = nicksOf(readings)
  const log: IrcLog = { actions: [], unread: [], lines: lines.length, blank: 0 }
  for (const [index, text] of lines.entries()) {
    const line = index + 1
    const { said, why } = withAction(readings[index] ?? {}, known)
    const reason = why ?? (said && objection(said))
    if (reason !== undefined) log.unread.push({ line, text, why: reason })
    else if (said) log.actions.push({ line, at: times[index] ?? '', ...said })
    else log.blank++
  }
  return log
}

/** Midnight of the first line's day, in ms. */
function firstDay (file: string, date?: string): number {
  const found = date ?? /(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)/.exec(basename(file))?.[0]
  if (found === undefined) throw new Error(`${file}: no date in the name (as in 2004-12-25.txt) and none given`)
  const day = Date.parse(`${found}T00:00:00.000Z`)
  if (Number.isNaN(day) || new Date(day).toISOString().slice(0, 10) !== found) throw new Error(`${file}: ${JSON.stringify(found)} is not a date (YYYY-MM-DD)`)
  return day
}

function read (line: string): Reading {
  if (line.trim() === '') return {}
  const [, hours, minutes, rest] = TIMED.exec(line) ?? []
  if (rest !== undefined) {
    const clock = Number(hours) * 60 + Number(minutes)
    if (Number(hours) > 23 || Number(minutes) > 59) return { why: `${hours}:${minutes} is no time of day` }
    return { minutes: clock, ...readTimed(rest) }
  }
  if (line.startsWith('=== ')) return readUntimed(line.slice(4))
  return { why: 'it begins with neither [HH:MM] nor ===' }
}

function readTimed (rest: string): Reading {
  const [, speaker, content = ''] = MESSAGE.exec(rest) ?? []
  if (speaker !== undefined) return { said: { kind: 'message', form: 'message', nick: speaker.trim(), content } }
  const [, did] = ACTION.exec(rest) ?? []
  return did === undefined ? { why: 'after the time comes neither <nick> nor * nick' } : { did }
}

function readUntimed (rest: string): Reading {
  const [, joins] = JOIN.exec(rest) ?? []
  if (joins !== undefined) return { said: { kind: 'join', form: 'join', nick: joins } }
  for (const [form, pattern] of [['part', PART], ['quit', QUIT], ['kick', KICK]] as const) {
    const [, nick] = pattern.exec(rest) ?? []
    if (nick !== undefined) return { said: { kind: 'leave', form, nick } }
  }
  const [, nick, to] = RENAME.exec(rest) ?? []
  if (nick !== undefined && to !== undefined) return { said: { kind: 'rename', form: 'rename', nick, to } }
  if (MODE.test(rest)) return { why: 'a change of channel modes' }
  if (TOPIC.test(rest)) return { why: 'a change of the topic' }
  return { did: rest }
}

function withAction (reading: Reading, known: Set<string>): Reading {
  const { did, minutes } = reading
  if (did === undefined) return reading
  const longer = LONG_NICK.exec(did)?.[0]
  const nick = longer !== undefined && known.has(longer) ? longer : firstWord(did)
  // Without the time only somebody whom another line names acts: else it may as well be a notice of the server.
  if (minutes === undefined && !known.has(nick)) return { why: 'a === line that is no change of membership, by nobody whom the log knows' }
  const text = did.slice(nick.length + 1)
  return { said: { kind: 'message', form: 'action', nick, content: text.trim() === '' ? '' : `/me ${text}` } }
}

const firstWord = (text: string): string => text.slice(0, text.search(/\s|$/))

function nicksOf (readings: Reading[]): Set<string> {
  const nicks = new Set<string>()
  for (const { minutes, said, did } of readings) {
    if (said) nicks.add(said.nick)
    if (said?.to !== undefined) nicks.add(said.to)
    if (minutes !== undefined && did !== undefined) nicks.add(firstWord(did))
  }
  nicks.delete('')
  return nicks
}

/** Why Millrace could not take what was read, or undefined when it can. */
function objection ({ kind, nick, to, content = '' }: Said): string | undefined {
  for (const text of [nick, to ?? '', content]) {
    if (text.includes('\0')) return 'it has a U+0000'
    // Half a surrogate pair has no UTF-8.
    if (!text.isWellFormed()) return 'it is not well-formed Unicode'
  }
  if (nick === '') return 'the nick is empty'
  if (kind !== 'message') return undefined
  if (content === '') return 'the message is empty'
  if (content.length > CONTENT_MAX && [...content].length > CONTENT_MAX) return 'the message has over 8,000 characters'
  return undefined
}

/**
 * The time of every line. One without a time has that of the last line that has one, else of the first that has, else
 * midnight. A clock that goes back has passed midnight. (Logs until 2007 may use a clock of twelve hours without saying
 * which half: hours are taken as written.)
 */
function timesOf (readings: Reading[], day: number): string[] {
  let last = readings.find(({ minutes }) => minutes !== undefined)?.minutes ?? 0
  let days = 0
  return readings.map(({ minutes }) => {
    if (minutes !== undefined) {
      if (minutes < last - SET_BACK_MINUTES_MAX) days++
      last = minutes
    }
    return new Date(day + (days * DAY_MINUTES + last) * 60000).toISOString()
  })
}
