/**
 * Any event that a room's log may have, by any of some users, for tests with random logs. What it names need not be there: folds
 * must not mind. Only a delete of what is no message cannot be, and is for the caller to leave out.
 */
import fc from 'fast-check'
import type { Attachment, EventBody } from '../../src/domain/events.ts'

const ATTACHMENTS: Attachment[] = [{ url: 'https://x.y/"z"' }]

/** @param seqMax messages that are named are at most this one: the fewer, the more happens to each */
export function anyEvent (users: readonly string[], seqMax = 9): fc.Arbitrary<{ by: string, body: EventBody }> {
  const user = fc.constantFrom(...users)
  const word = fc.oneof(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), fc.constantFrom('"', '\\', '{},', 'NULL', '😀', "'; --", '\n', 'https://x.y')).filter(text => !text.includes('\0'))
  const mentions = fc.option(fc.subarray([...users]), { nil: undefined })
  const until = fc.option(fc.constantFrom('2026-11-20T11:00:00Z', '2030-01-01T00:00:00.5Z'), { nil: undefined })
  const lifted = fc.option(fc.constant(true as const), { nil: undefined })
  const name = fc.option(fc.constantFrom('one', 'two'), { nil: undefined })
  const seq = fc.integer({ min: 2, max: seqMax })
  const body = fc.oneof(
    { weight: 6, arbitrary: fc.record({ type: fc.constant('message' as const), content: word, thread: fc.option(seq, { nil: undefined }), mentions, mentions_room: lifted, attachments: fc.option(fc.constant(ATTACHMENTS), { nil: undefined }) }) },
    { weight: 4, arbitrary: fc.record({ type: fc.constant('edit' as const), message_seq: seq, content: word, mentions }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), message_seq: seq }) },
    { weight: 4, arbitrary: fc.record({ type: fc.constant('reaction' as const), message_seq: seq, emoji: fc.constantFrom('👍', '❤️'), added: fc.boolean() }) },
    { weight: 5, arbitrary: fc.record({ type: fc.constant('pin' as const), message_seq: seq, added: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ type: fc.constant('join' as const), target: fc.option(user, { nil: undefined }) }) },
    { weight: 2, arbitrary: fc.constant({ type: 'leave' as const }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('kick' as const), target: user }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('ban' as const, 'mute' as const), target: user, until, lifted }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('role' as const), target: user, role: fc.constantFrom('owner' as const, 'moderator' as const, 'member' as const) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('room' as const), change: fc.constant('updated' as const), name, topic: name, slow_mode_s: fc.option(fc.nat(9), { nil: undefined }), archived: fc.option(fc.boolean(), { nil: undefined }) }) },
    { weight: 1, arbitrary: fc.constant({ type: 'room' as const, change: 'deleted' as const }) }
  )
  return fc.record({ by: user, body })
}
