/** Naming somebody in a text: where a name is being written, who may be named, and who is meant first. Pure. */

/** What can stand after the @, as the server reads names. */
const NAME = /^(?!room$)[\p{L}\p{N}_][\p{L}\p{M}\p{N}\p{Join_Control}_.-]*$/iu
/** A name that is being written: at the beginning, or after a space or a sign that opens something. */
const BEGUN = /(?:^|[\s([{"'*~>,;:])@((?![.-])[\p{L}\p{M}\p{N}\p{Join_Control}_.-]*)$/u

export interface Nameable { readonly user_id: string, readonly username: string, readonly display_name: string, readonly avatar_url: string | null }

/** A name that is being written: from the @ on, up to the caret. */
export interface Begun { readonly from: number, readonly to: number, readonly begin: string }

export function begunAt (text: string, caret: number): Begun | undefined {
  const begin = BEGUN.exec(text.slice(0, caret))?.[1]
  return begin === undefined ? undefined : { from: caret - begin.length - 1, to: caret, begin }
}

/** Names with spaces or other signs cannot be written in a text. */
export const isNameable = ({ username }: Pick<Nameable, 'username'>): boolean => NAME.test(username)

/**
 * Those who are meant by the beginning of a name, the likeliest first: whose name it is, who has spoken last, then by name.
 * @param recent who has spoken, the latest first
 */
export function meant<P extends Nameable> (people: readonly P[], begin: string, recent: readonly string[], limit: number): P[] {
  const wanted = begin.toLowerCase()
  const spoke = new Map(recent.map((id, i) => [id, i]))
  const rank = ({ username, display_name }: Nameable): number => {
    const [name, shown] = [username.toLowerCase(), display_name.toLowerCase()]
    if (name === wanted) return 0
    if (name.startsWith(wanted) || shown.startsWith(wanted)) return 1
    if (shown.split(/[\s._-]+/).some(word => word.startsWith(wanted))) return 2
    return name.includes(wanted) ? 3 : Infinity
  }
  return people
    .map(person => ({ person, rank: rank(person), spoke: spoke.get(person.user_id) ?? Infinity }))
    .filter(({ rank }) => rank < Infinity)
    .sort((a, b) => a.rank - b.rank || (a.spoke === b.spoke ? 0 : a.spoke - b.spoke) || a.person.username.localeCompare(b.person.username))
    .slice(0, limit)
    .map(({ person }) => person)
}

/** The text with the name in the place of what was begun, and where the caret is then. */
export function named (text: string, { from, to }: Begun, username: string): { text: string, caret: number } {
  const piece = `@${username} `
  return { text: `${text.slice(0, from)}${piece}${text.slice(to).replace(/^ /, '')}`, caret: from + piece.length }
}
