/**
 * What the reference says of a route besides its schemas; it stands beside them, in the route's own `schema`.
 *
 *     app.post('/rooms', { schema: { ...about('Rooms', 'Make a room', 'room_full'), body: Create, response: { 201: Room } } }, …)
 *
 * Only a route's own "no"s are named there; those that follow from its schemas, from being signed in and from the limits are
 * added by `docs.ts`. A test fails for a route without these, and for an answer that is not among them.
 */
import Type from 'typebox'
import type { RejectionCode } from '../domain/rejections.ts'

/** The chapters of the reference, in its order. */
export const TAGS = {
  Accounts: 'Signing up, logging in, sessions and tokens',
  People: 'Profiles, contacts, blocks and presence',
  Rooms: 'Making, finding, changing, joining and leaving rooms',
  Members: 'Roles, invites, kicks, bans and mutes',
  Messages: 'Messages, reactions, pins and threads',
  Log: 'The log of a room itself, and how far it was read',
  Notifications: 'Web Push, webhooks, and when not to be disturbed',
  Operators: 'For those who look after the deployment; to everybody else there is nothing here',
  Service: 'Health, metrics and documents',
} as const
export type Tag = keyof typeof TAGS

declare module 'fastify' {
  interface FastifySchema {
    /** Codes of the catalogue that the route may answer besides those that follow from its schemas. */
    rejections?: readonly RejectionCode[]
    /** Said in the reference in place of the same part of the schema, neither checked nor used to write the answer. */
    describes?: { readonly querystring?: unknown, readonly response?: unknown }
  }
}

export function about (tag: Tag, summary: string, ...rejections: RejectionCode[]): { tags: Tag[], summary: string, rejections: RejectionCode[] } {
  return { tags: [tag], summary, rejections }
}

/** The answer of 204. */
export const Nothing = Type.Unsafe<void>(Type.Null({ description: 'Done; there is no body' }))

/** An answer that is not JSON. */
export function text (mediaType: string, description = 'Text'): object {
  return { description, content: { [mediaType]: { schema: Type.String() } } }
}
