/**
 * Ephemeral frames to the subscribers of a room (typing, presence, marks). They come over the channel of the room's bell, so that
 * nobody subscribes twice, and begin with a byte that no bell has. Never in the log; any may be lost.
 */

/** First byte of a line; bells begin with a digit. */
const SIGN = '~'

export interface Ephemeral {
  /** JSON text of the frame. */
  readonly frame: string
  /** IDs of connections and of users that are not to get it. */
  readonly except: readonly string[]
}

/** One line: `~<except, separated by commas> <frame>`. */
export function ephemeralLine (frame: object, except: readonly string[] = []): string {
  return `${SIGN}${except.join(',')} ${JSON.stringify(frame)}`
}

export function isEphemeral (text: string): boolean {
  return text.startsWith(SIGN)
}

export function parseEphemeral (text: string): Ephemeral[] {
  const ephemerals: Ephemeral[] = []
  for (const line of text.split('\n')) { // JSON has no raw line feeds
    const space = line.indexOf(' ')
    if (!isEphemeral(line) || space < 0) continue
    ephemerals.push({ frame: line.slice(space + 1), except: space === 1 ? [] : line.slice(1, space).split(',') })
  }
  return ephemerals
}
