// A TCP proxy on loopback, to break connections with: it cuts them, half-opens them, swallows what the server says, holds
// everything back for a while, or lets nobody in. A fault befalls the connections that there are, unless it says otherwise; what
// one side ends in order is ended in order on the other, with everything before it delivered.
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'

export interface Proxy {
  readonly port: number
  /** Connections that are open at the client's side. */
  readonly connections: () => number
  /** Both sides get a reset. */
  cut: () => void
  /**
   * Neither side hears of the other any more, and neither is told: what they send is taken and lost. The server's side is reset by
   * `heal`; the client has to find out by itself.
   */
  halfOpen: () => void
  /** What the server says is lost; what the client says arrives. Until they are cut. */
  swallow: () => void
  /** Nothing passes, of new connections neither, until `release`; nothing is lost. As a network that comes back does. */
  hold: () => void
  release: () => void
  /** Cuts, and resets whoever comes, until `admit`. */
  refuse: () => void
  admit: () => void
  /** Ends every fault but one: a client whose connection was half-opened is not told, unless it `keepsAlive`, as its kernel would find out. */
  heal: (more?: { keepsAlive?: boolean }) => void
  close: () => Promise<void>
}

interface Pair { readonly client: Socket, readonly server: Socket, fault?: 'half-open' | 'swallow' }

/** @param target asked at each connection, so that a server may come back on another port */
export async function startProxy (target: () => { host?: string, port: number }): Promise<Proxy> {
  const pairs = new Set<Pair>()
  let held = false
  let refusing = false

  const listener = createServer({ allowHalfOpen: true, noDelay: true }, client => {
    if (refusing) return reset(client)
    const { host = '127.0.0.1', port } = target()
    const server = connect({ host, port, allowHalfOpen: true, noDelay: true })
    const pair: Pair = { client, server }
    pairs.add(pair)
    join(pair, client, server, false)
    join(pair, server, client, true)
    if (held) pause(pair)
  })

  function join (pair: Pair, from: Socket, to: Socket, fromServer: boolean): void {
    const lost = (): boolean => pair.fault === 'half-open' || (pair.fault === 'swallow' && fromServer)
    from.on('data', data => {
      if (lost() || to.destroyed) return
      if (to.write(data) || held) return
      from.pause()
      to.once('drain', () => { if (!held) from.resume() })
    })
    from.on('end', () => { if (!lost()) to.end() })
    from.on('error', () => {}) // `close` follows
    from.on('close', hadError => {
      if (pair.client.destroyed && pair.server.destroyed) pairs.delete(pair)
      if (lost()) return
      if (hadError) reset(to)
      else if (!to.writableEnded) to.end()
    })
  }

  const pause = ({ client, server }: Pair): void => { client.pause(); server.pause() }

  const resume = ({ client, server }: Pair): void => { client.resume(); server.resume() }

  const proxy: Proxy = {
    port: 0,
    connections: () => [...pairs].filter(({ client }) => !client.destroyed).length,
    cut () {
      for (const { client, server } of pairs) {
        reset(client)
        reset(server)
      }
    },
    halfOpen () {
      for (const pair of pairs) {
        pair.fault = 'half-open'
        if (!held) resume(pair)
      }
    },
    swallow () { for (const pair of pairs) pair.fault ??= 'swallow' },
    hold () {
      held = true
      for (const pair of pairs) pause(pair)
    },
    release () {
      held = false
      for (const pair of pairs) resume(pair)
    },
    refuse () {
      refusing = true
      proxy.cut()
    },
    admit () { refusing = false },
    heal ({ keepsAlive = false } = {}) {
      proxy.admit()
      proxy.release()
      for (const { client, server, fault } of pairs) {
        if (fault === undefined) continue
        reset(server)
        if (fault === 'swallow' || keepsAlive) reset(client)
      }
    },
    async close () {
      refusing = true
      const closed = once(listener, 'close')
      listener.close()
      proxy.cut()
      await closed
    },
  }
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return Object.assign(proxy, { port: (listener.address() as AddressInfo).port })
}

function reset (socket: Socket): void {
  // Without a connection yet there is nothing to reset; and one that is ending cannot be: Node would leave it open, and spin when it exits.
  if (socket.connecting || socket.writableEnded) socket.destroy()
  else if (!socket.destroyed) socket.resetAndDestroy()
}
