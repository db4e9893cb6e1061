// The proxy that fault runs break connections with does what it says, and nothing else.
import t from 'tap'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../until.ts'
import { startProxy, type Proxy } from './proxy.ts'

interface Tap { teardown: (fn: () => unknown) => unknown }
interface End { readonly socket: Socket, heard: () => string, ended: () => string | undefined }

/** Notes what a socket hears and how it ends. */
function listen (socket: Socket): End {
  let heard = ''
  let ended: string | undefined
  socket.on('data', data => { heard += String(data) })
  socket.on('end', () => { ended ??= 'end' })
  socket.on('error', (error: NodeJS.ErrnoException) => { ended = error.code })
  return { socket, heard: () => heard, ended: () => ended }
}

async function pairs (t: Tap): Promise<{ proxy: Proxy, join: () => Promise<{ client: End, server: End }> }> {
  const accepted: End[] = []
  const server = createServer({ allowHalfOpen: true }, socket => { accepted.push(listen(socket)) }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy = await startProxy(() => server.address() as AddressInfo)
  t.teardown(async () => {
    await proxy.close()
    for (const { socket } of accepted) socket.destroy()
    server.close()
  })
  return {
    proxy,
    async join () {
      const socket = connect({ host: '127.0.0.1', port: proxy.port, allowHalfOpen: true })
      t.teardown(() => { socket.destroy() })
      const client = listen(socket)
      const before = accepted.length
      await until(() => accepted.length > before)
      return { client, server: accepted.at(-1)! }
    },
  }
}

t.test('what both sides say arrives whole and in order, however much it is', async t => {
  const { proxy, join } = await pairs(t)
  const { client, server } = await join()
  const much = Array.from({ length: 200_000 }, (_, i) => String(i)).join(' ')
  client.socket.write(much)
  server.socket.end(`${much}!`) // its end waits for what came before
  await until(() => server.heard() === much && client.heard() === `${much}!` && client.ended() === 'end')
  client.socket.end('bye')
  await until(() => server.heard() === `${much}bye` && server.ended() === 'end')
  await until(() => proxy.connections() === 0)
})

t.test('a cut resets both sides, and the next connection works', async t => {
  const { proxy, join } = await pairs(t)
  const { client, server } = await join()
  proxy.cut()
  await until(() => client.ended() === 'ECONNRESET' && server.ended() === 'ECONNRESET')
  const next = await join()
  next.client.socket.write('hello')
  await until(() => next.server.heard() === 'hello')
})

t.test('half-open, neither side hears of the other or its end, others do, and healing resets the server alone', async t => {
  const { proxy, join } = await pairs(t)
  const [{ client, server }, other] = [await join(), await join()]
  proxy.halfOpen()
  client.socket.write('lost')
  server.socket.write('lost')
  const next = await join()
  next.client.socket.write('hello')
  await until(() => next.server.heard() === 'hello')
  other.client.socket.destroy()
  await sleep(50)
  t.equal(other.server.ended(), undefined, 'a client that is gone is still there for the server')
  t.same([client.heard(), server.heard(), client.ended(), server.ended()], ['', '', undefined, undefined])
  proxy.heal()
  await until(() => server.ended() === 'ECONNRESET' && other.server.ended() === 'ECONNRESET')
  t.equal(client.ended(), undefined)
  t.equal(next.client.ended(), undefined)
  const kept = await join()
  proxy.halfOpen()
  proxy.heal({ keepsAlive: true })
  await until(() => kept.client.ended() === 'ECONNRESET', { what: 'a client that keeps alive to find out' })
})

t.test('while replies are swallowed the server hears everything, and healing cuts', async t => {
  const { proxy, join } = await pairs(t)
  const { client, server } = await join()
  proxy.swallow()
  server.socket.write('lost')
  client.socket.write('heard')
  await until(() => server.heard() === 'heard')
  t.equal(client.heard(), '')
  proxy.heal()
  await until(() => client.ended() === 'ECONNRESET' && server.ended() === 'ECONNRESET')
})

t.test('held, nothing passes, of a new connection neither, and when released nothing is lost', async t => {
  const { proxy, join } = await pairs(t)
  const { client, server } = await join()
  proxy.hold()
  const next = await join()
  client.socket.write('a')
  server.socket.write('b')
  next.client.socket.write('c')
  await sleep(50)
  t.same([server.heard(), client.heard(), next.server.heard()], ['', '', ''])
  proxy.release()
  client.socket.write('d')
  await until(() => server.heard() === 'ad' && client.heard() === 'b' && next.server.heard() === 'c')
})

t.test('refusing, it cuts, resets whoever comes, and admits again', async t => {
  const { proxy, join } = await pairs(t)
  const { client } = await join()
  proxy.refuse()
  await until(() => client.ended() === 'ECONNRESET')
  const refused = listen(connect(proxy.port, '127.0.0.1'))
  await until(() => refused.ended() !== undefined)
  proxy.admit()
  const next = await join()
  next.client.socket.write('hello')
  await until(() => next.server.heard() === 'hello')
})

t.test('a server that is not there resets the client', async t => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  const proxy = await startProxy(() => ({ port }))
  t.teardown(async () => { await proxy.close() })
  const { ended } = listen(connect(proxy.port, '127.0.0.1'))
  await until(() => ended() !== undefined)
  t.equal(ended(), 'ECONNRESET')
})
