/**
 * A place in a room's log: `seq`, and `chain`, the fingerprint of everything up to it. Equal chains at a seq mean equal
 * histories up to it, so a position proves itself (DESIGN.md §4).
 */

/** `seq` ≥ 0 (0: before the first event), `chain` 16 lower-case hex digits. */
export interface Position {
  readonly seq: number
  readonly chain: string
}

/** A position as a client sends it: simple clients leave the chain out. */
export interface ClaimedPosition {
  readonly seq: number
  readonly chain?: string | undefined
}

/** Before the first event of any room. */
export const START: Position = Object.freeze({ seq: 0, chain: '0000000000000000' })

/** Whether a claim can be meant for this position: without a chain the seq alone speaks. */
export function claims (claim: ClaimedPosition, position: Position): boolean {
  return claim.seq === position.seq && (claim.chain === undefined || claim.chain === position.chain)
}
