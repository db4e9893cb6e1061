/** The projections that run: a projector serves each, a loss replays all but the archive, and the command line knows them by name. */
import { archive } from './archive.ts'
import { history } from './history.ts'
import { mentions } from './mentions.ts'
import { notifications } from './notifications.ts'
import type { Projection } from './projection.ts'
import { search } from './search.ts'

/** The archive is the first: the others may read it. */
export const PROJECTIONS: readonly Projection[] = [archive, history, mentions, search, notifications]
