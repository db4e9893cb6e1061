/** How a command says that it cannot go on: in one line, without a stack trace. */

/** The command line is wrong; its usage is shown below the message. Exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** It could not be done; the message says why and what to do. Exit code 1. */
export class CommandFailed extends Error {
  override name = 'CommandFailed'
}
