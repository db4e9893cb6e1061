/**
 * Full-text search, in one room or in all rooms that the asker is in. The index may lag a moment behind the rooms; what is shown is
 * asked of them: access, and what the message says now. A hit that was deleted or edited away meanwhile is left out, so a page may have
 * fewer than `limit` items, or none, with a `next`.
 */
import Type, { type Static } from 'typebox'
import { usernameKey } from '../auth/usernames.ts'
import { LOBBY_ID } from '../domain/lobby.ts'
import { isFoundIn, parseSearch, SEARCH_CHARS_MAX, snippetOf, type Search } from '../domain/search.ts'
import { searchedUpTo, searchHits, SearchTooWide, type SearchCursor } from '../store/search.ts'
import { usersByKeys } from '../store/users.ts'
import { about } from './about.ts'
import { identityOf, listOf, Position, RoomParams, UUID_PATTERN, type App } from './app.ts'
import { Cursor, cursorFrom, cursorText, FoundMessage, messagesOf, myRooms, placeKey, type Allowed } from './found.ts'
import { refuse } from './problems.ts'
import { askedOf, type RoomReads } from './room-reads.ts'

const ITEMS_MAX = 50

const Query = Type.Object({
  q: Type.String({
    minLength: 1,
    maxLength: SEARCH_CHARS_MAX,
    pattern: '^[^\\u0000\\ud800-\\udfff]+$',
    description: 'Words, `"two words"` in a row, `-without`, `this or that`, and `from:name`, `in:room`, `has:link|attachment|mention`, `before:` and `after:` a day such as `2026-11-20` (UTC). The last word may be the beginning of one',
  }),
  before: Cursor,
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: ITEMS_MAX, description: `At most this many items; ${ITEMS_MAX} is the most, 20 if left out` })),
})

const Found = FoundMessage({
  snippet: Type.Object({
    text: Type.String({ description: 'A part of the content, plain text' }),
    at: Type.Integer({ description: 'Where in the content it begins, in UTF-16 code units' }),
    highlights: Type.Array(Type.Object({ from: Type.Integer(), to: Type.Integer() }), { description: 'What was found, in UTF-16 code units of `text`: from the first up to but without the second' }),
  }),
})
const Answer = listOf(Found, Type.String())

const Place = Type.Integer({ minimum: 0, maximum: 8.64e15 })
const Room = Type.String({ pattern: UUID_PATTERN })
const Key = Type.Tuple([Place, Room, Place])
const SearchPlace = Type.Object({ before: Type.Optional(Key), to: Type.Optional(Key), after: Type.Optional(Type.Tuple([Type.Number(), Place, Room, Place])) })

export function searchRoutes (app: App, deps: RoomReads): void {
  app.get('/rooms/:id/search', { schema: { ...about('Messages', 'Search the messages of a room', 'bad_search', 'busy'), params: RoomParams, querystring: Query, response: { 200: Type.Object({ ...Answer.properties, as_of: Position }) } } }, async request => {
    const search = searchOf(request.query.q)
    const asked = await askedOf(deps, request)
    return await deps.gate(async () => {
      const as_of = await searchedUpTo(deps.store, asked.room_id)
      return { ...await answer(search, request.query, new Map([[asked.room_id, asked]])), as_of }
    })
  })

  app.get('/search', { schema: { ...about('Messages', 'Search the messages of my rooms', 'bad_search', 'busy'), querystring: Query, response: { 200: Answer } } }, async request => {
    const search = searchOf(request.query.q)
    const { user_id } = identityOf(request)
    return await deps.gate(async () => await answer(search, request.query, await myRooms(deps, user_id, [LOBBY_ID])))
  })

  async function answer (search: Search, { before, limit = 20 }: Static<typeof Query>, readings: ReadonlyMap<string, Allowed>): Promise<Static<typeof Answer>> {
    const cursor: SearchCursor = before === undefined ? {} : cursorFrom(SearchPlace, before)
    const rooms = [...readings].filter(([, { room }]) => isNamed(search.in, room.name)).map(([room_id, { from }]) => ({ room_id, from }))
    const { hits, next } = await searchHits(deps.store, { search, rooms, authors: await authorsOf(search), cursor, limit }).catch(tooWide)
    const messages = await messagesOf(deps, hits, readings)
    return {
      items: hits.flatMap(({ room_id, seq }) => {
        const message = messages.get(placeKey({ room_id, seq }))
        return message === undefined || !isFoundIn(search, message) ? [] : [{ room_id, ...message, snippet: snippetOf(search, message.content) }]
      }),
      next: next === null ? null : cursorText(next),
    }
  }

  /** Whom `from:` names; undefined where it names nobody, and anybody will do. */
  async function authorsOf ({ from }: Search): Promise<string[] | undefined> {
    return from.length === 0 ? undefined : (await usersByKeys(deps.store, from.map(name => usernameKey(name.replace(/^@/, ''))))).map(({ id }) => id)
  }
}

function searchOf (text: string): Search {
  const search = parseSearch(text)
  return typeof search === 'string' ? refuse('bad_search', search, 'q') : search
}

/** Names of rooms are compared as those of users are. */
function isNamed (names: readonly string[], name: string): boolean {
  return names.length === 0 || (name !== '' && names.some(wanted => usernameKey(wanted.replace(/^#/, '')) === usernameKey(name)))
}

function tooWide (error: unknown): never {
  if (error instanceof SearchTooWide) refuse('bad_search', 'There is too much to look through: add words, or where or when to look', 'q')
  throw error
}
