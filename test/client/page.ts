// What the client's browser tests need around it: Chromium, a page that loads the client as it is built, and a way to cut the page off.
// The page comes from a server of its own on loopback, which passes everything else on to a gateway, so that all is of one origin.
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { once } from 'node:events'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startProxy, type Proxy } from '../faults/proxy.ts'

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export const CHROMIUM = PATHS.find(existsSync)
/** Why these tests are left out; false where they must run: there is a Chromium, or whoever runs them says that there must be. */
export const LEFT_OUT = CHROMIUM === undefined && process.env.CI !== '1' && process.env.MILLRACE_BROWSER !== 'required' && process.env.MILLRACE_SKIPS !== 'fail' && `no Chromium among ${PATHS.join(', ')}`

interface Teardown { teardown: (fn: () => unknown) => unknown }

/** Builds the client's modules into `dir`, as `npm run build:client` does. */
export async function buildClient (dir: string): Promise<void> {
  await promisify(execFile)(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', join(ROOT, 'src/client/tsconfig.json'), '--outDir', dir])
}

export interface Front {
  readonly url: string
  /** Stands before the page's server: breaks everything of the page. */
  readonly line: Proxy
  /** Away: the page itself can be loaded, the gateway cannot be reached, and whoever was connected is cut. */
  away: (is: boolean) => void
}

/** @param gateway its base URL · @param modules directory with the built client */
export async function startFront (t: Teardown, { gateway, modules }: { gateway: string, modules: string }): Promise<Front> {
  const { port } = new URL(gateway)
  const sockets = new Set<Socket>()
  let isAway = false
  const server = createServer((asked, answer) => {
    const path = asked.url ?? '/'
    if (path === '/page') return answer.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>page</title><link rel="icon" href="data:,">')
    if (path.startsWith('/modules/')) return answer.writeHead(200, { 'content-type': 'text/javascript' }).end(readFileSync(join(modules, path.slice('/modules/'.length))))
    if (isAway) return asked.socket.destroy()
    const passed = request({ host: '127.0.0.1', port, method: asked.method, path, headers: asked.headers }, from => {
      answer.writeHead(from.statusCode ?? 502, from.headers)
      from.pipe(answer)
    })
    passed.on('error', () => { answer.destroy() })
    asked.pipe(passed)
  })
  server.on('upgrade', ({ method, url, rawHeaders }, socket: Socket, head) => {
    if (isAway) return socket.destroy()
    const passed = connect(Number(port), '127.0.0.1', () => {
      const headers = Array.from({ length: rawHeaders.length / 2 }, (_, i) => `${rawHeaders[2 * i]}: ${rawHeaders[2 * i + 1]}`)
      passed.write(`${method} ${url} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`)
      passed.write(head)
    })
    for (const [one, other] of [[socket, passed], [passed, socket]] as const) {
      sockets.add(one)
      one.pipe(other)
      one.on('error', () => {}) // `close` follows
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const line = await startProxy(() => server.address() as AddressInfo)
  t.teardown(async () => {
    await line.close()
    for (const socket of sockets) socket.destroy()
    server.close()
    server.closeAllConnections()
  })
  return {
    url: `http://127.0.0.1:${line.port}`,
    line,
    away (is) {
      isAway = is
      if (is) for (const socket of sockets) socket.destroy()
    },
  }
}
