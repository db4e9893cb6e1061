/** What is known of the client behind a request; kept to be shown to its owner. */

const USER_AGENT_CHARS_MAX = 200
const ADDRESS_CHARS_MAX = 64

export interface Device {
  /** What the client calls its device. */
  readonly device_id?: string | undefined
  readonly user_agent?: string | undefined
  /** IP address. */
  readonly address?: string | undefined
}

/** As it is stored. */
export function userAgentOf ({ user_agent }: Device): string | null {
  return user_agent?.slice(0, USER_AGENT_CHARS_MAX).replaceAll('\0', '').toWellFormed() ?? null
}

/** As it is stored. */
export function addressOf ({ address }: Device): string | null {
  return address?.slice(0, ADDRESS_CHARS_MAX) ?? null
}
