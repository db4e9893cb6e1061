/** What can be asked about notifications: this account's browsers that are told by push, and when it does not want to be disturbed. */
import type { Api } from '../api/calls.ts'
import type { List } from '../api/types.ts'

/** A browser that is told. */
export interface Told { readonly id: string, readonly session_id: string, readonly endpoint: string, readonly created_at: string, readonly confirmed_at: string, readonly last_sent_at: string | null, readonly current: boolean }

export interface Quiet {
  /** Nothing before then. */
  readonly dnd_until: string | null
  /** HH:MM; nothing between these times of every day. */
  readonly dnd_hours: { readonly from: string, readonly to: string } | null
  /** Of these hours: the IANA name. */
  readonly time_zone: string
}

export function notificationCalls ({ ask, put, patch, remove }: Api) {
  return {
    key: async () => (await ask<{ key: string }>('/push/key')).key,
    told: async () => (await ask<List<Told>>('/me/push-subscriptions')).items,
    tell: async (subscription: PushSubscriptionJSON) => await put<Told>('/me/push-subscriptions', { endpoint: subscription.endpoint, keys: subscription.keys }),
    tellNoMore: async (id: string) => { await remove(`/me/push-subscriptions/${id}`) },
    quiet: async () => await ask<Quiet>('/me/notifications'),
    beQuiet: async (change: Partial<Quiet>) => await patch<Quiet>('/me/notifications', change),
  }
}
