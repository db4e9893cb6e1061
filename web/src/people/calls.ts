/** Whom the user knows, and from whom they want nothing. */
import type { Api } from '../api/calls.ts'
import { query } from '../api/calls.ts'
import type { List, User } from '../api/types.ts'

export interface Listed { readonly user: User, readonly created_at: string }
export type PeopleList = 'contacts' | 'blocks'

export function peopleCalls ({ ask, put, remove }: Api) {
  return {
    page: async (list: PeopleList, after?: string) => await ask<List<Listed>>(`/${list}${query({ after, limit: 200 })}`),
    put: async (list: PeopleList, user: string) => { await put(`/${list}/${user}`) },
    remove: async (list: PeopleList, user: string) => { await remove(`/${list}/${user}`) },
    /** Whether somebody is in the list, however long it is. */
    async has (list: PeopleList, user: string): Promise<boolean> {
      for (let after: string | undefined, isMore = true; isMore;) {
        const { items, next } = await this.page(list, after)
        if (items.some(item => item.user.id === user)) return true
        isMore = next !== null
        after = next ?? undefined
      }
      return false
    },
  }
}
