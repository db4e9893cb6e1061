/** What worker and page say to each other. */

/** Where a notification leads. */
export interface Place { readonly room_id: string, readonly seq: number }

/** What a page is told when one was clicked. */
export interface Opened extends Place { readonly type: 'open' }
