/**
 * TCP ports: a free one for a private server, and whether one that was asked for is taken.
 *
 * Free ports are drawn below the range that the system gives to outgoing connections (Linux 32768, macOS 49152). From
 * within it, a client that keeps trying to reach a server that is down can be given that very port and connect to itself,
 * and the server then never gets it back. Does not reserve: whoever binds must be ready to draw again.
 */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

const LOWEST = 20_000
const HIGHEST = 32_000

/** Tries to listen. Undefined when it worked, else the error's code: EADDRINUSE, EACCES, EADDRNOTAVAIL, … */
export async function portError (host: string, port: number): Promise<string | undefined> {
  return await new Promise(resolve => {
    const server = createServer()
    server.once('error', error => resolve((error as NodeJS.ErrnoException).code ?? error.message))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}

/** A port on `host` on which nobody listens now. */
export async function freePort (host = '127.0.0.1'): Promise<number> {
  for (let i = 0; i < 100; i++) {
    const port = randomInt(LOWEST, HIGHEST)
    if (await portError(host, port) === undefined) return port
  }
  throw new Error(`no free port found between ${LOWEST} and ${HIGHEST} on ${host}`)
}
