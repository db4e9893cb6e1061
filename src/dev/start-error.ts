/**
 * What `npm start` cannot get past by itself. `message` is one line for a person: what is wrong and what to do.
 * It is printed as it stands, without a stack, and the exit code is 1; so it never holds a password or a whole URL.
 */
export class StartError extends Error {
  override name = 'StartError'
}

/** The message of anything that was thrown, for the end of a line. */
export function reason (error: unknown): string {
  if (error instanceof StartError) return error.message // may be empty: said already
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reason).join(', ')
  if (error instanceof Error) return error.message !== '' ? error.message : (error as NodeJS.ErrnoException).code ?? error.name
  return String(error)
}
