/** The version of this Millrace, as its documents name it. */
import about from '../package.json' with { type: 'json' }

export const VERSION = about.version
