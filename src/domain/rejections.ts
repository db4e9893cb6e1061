/**
 * The catalogue of rejections: every expected "no", with its stable code, HTTP status, text, and whether trying again can
 * help. A rejection is returned, never thrown. Frames send `code` and `message`; HTTP sends them as an RFC 9457 problem.
 */

interface Entry {
  /** HTTP status of the problem document. */
  readonly status: number
  readonly message: string
  /** True if the same request may succeed later, unchanged. */
  readonly retry: boolean
}

export const REJECTIONS = {
  bad_frame: { status: 400, retry: false, message: 'The frame is no JSON, has no known type, or a field is missing or wrong' },
  bad_request: { status: 400, retry: false, message: 'The request does not fit its schema' },
  unauthenticated: { status: 401, retry: false, message: 'A valid access token is needed' },
  bad_refresh_token: { status: 401, retry: false, message: 'This refresh token is unknown, expired, used before or revoked: log in again' },
  bad_credentials: { status: 401, retry: false, message: 'No user has this name and password' },
  forbidden: { status: 403, retry: false, message: 'This is not allowed' },
  not_member: { status: 403, retry: false, message: 'Only members of the room may do this: join first' },
  banned: { status: 403, retry: false, message: 'You are banned from this room' },
  muted: { status: 403, retry: false, message: 'You are muted in this room' },
  target_not_member: { status: 404, retry: false, message: 'They are not a member of this room' },
  wrong_password: { status: 403, retry: false, message: 'This is not the password of the room' },
  bad_invite: { status: 403, retry: false, message: 'This invite is not valid, or no longer' },
  blocked: { status: 403, retry: false, message: 'One of you has blocked the other' },
  room_archived: { status: 403, retry: false, message: 'The room is archived: it can only be read' },
  room_full: { status: 403, retry: false, message: 'The room has as many members as it may' },
  last_owner: { status: 409, retry: false, message: 'A room keeps an owner: make somebody else one first, or delete the room' },
  not_found: { status: 404, retry: false, message: 'There is nothing here' },
  room_not_found: { status: 404, retry: false, message: 'There is no such room' },
  user_not_found: { status: 404, retry: false, message: 'There is no such user' },
  message_not_found: { status: 404, retry: false, message: 'There is no such message in this room' },
  message_deleted: { status: 410, retry: false, message: 'The message was deleted' },
  content_too_long: { status: 422, retry: false, message: 'The message is longer than this room allows' },
  bad_emoji: { status: 422, retry: false, message: 'A reaction is one emoji' },
  too_many_reactions: { status: 422, retry: false, message: 'The message has as many different reactions as it may' },
  not_yourself: { status: 422, retry: false, message: 'This cannot be done with oneself' },
  too_many: { status: 422, retry: false, message: 'There are as many as there may be' },
  bad_reply: { status: 422, retry: false, message: 'The message replied to is not in this room' },
  bad_search: { status: 422, retry: false, message: 'This cannot be searched for' },
  not_acceptable: { status: 406, retry: false, message: 'What is asked for is not there in a media type that is accepted' },
  request_timeout: { status: 408, retry: true, message: 'The request took too long to arrive' },
  username_taken: { status: 409, retry: false, message: 'This user name is taken' },
  room_exists: { status: 409, retry: false, message: 'This room exists already' },
  conflict: { status: 409, retry: true, message: 'The room changed too often meanwhile: try again' },
  too_large: { status: 413, retry: false, message: 'The body is too large' },
  unsupported_media_type: { status: 415, retry: false, message: 'The body must be application/json' },
  too_many_subscriptions: { status: 429, retry: false, message: 'This socket subscribes to as many rooms as it may' },
  upgrade_required: { status: 426, retry: false, message: 'This is a WebSocket: ask for an upgrade' },
  rate_limited: { status: 429, retry: true, message: 'Too many requests: slow down' },
  slow_mode: { status: 429, retry: true, message: 'Slow mode: wait before you write again' },
  internal: { status: 500, retry: false, message: 'Something went wrong on the server' },
  unavailable: { status: 503, retry: true, message: 'The log or the database cannot be reached: try again' },
  busy: { status: 503, retry: true, message: 'The server is catching up others: try again' },
  overloaded: { status: 503, retry: true, message: 'The server has more to do than it can: try again' },
} as const satisfies Record<string, Entry>

export type RejectionCode = keyof typeof REJECTIONS

/** An expected "no". `detail` adds the facts of the case to the catalogue's text. */
export interface Rejection {
  readonly code: RejectionCode
  readonly message: string
  /** Milliseconds after which trying again makes sense. */
  readonly retry_after_ms?: number
}

/** Makes the rejection `code`, with the catalogue's text or a more exact one. */
export function reject (code: RejectionCode, detail?: string, retryAfterMs?: number): Rejection {
  const message = detail ?? REJECTIONS[code].message
  return retryAfterMs === undefined ? { code, message } : { code, message, retry_after_ms: retryAfterMs }
}
