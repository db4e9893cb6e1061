// The connection to Redis, against a server that behaves as told.
import t from 'tap'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { connectRedis } from '../../src/log/redis.ts'
import { createLogger } from '../../src/telemetry/logging.ts'

const logger = createLogger({ level: 'silent', role: 'test' })

// Faults seed 42: a Redis that has just begun to load its AOF may guess 10 s and take 0.2; a projector stayed away for 10 s.
t.test('a client is back soon after Redis has loaded, whatever Redis guessed that it would take', async t => {
  let asked = 0
  const server = createServer(socket => {
    socket.on('error', () => {})
    socket.on('data', data => {
      for (const [name] of String(data).matchAll(/info|setname|setinfo/gi)) {
        if (name.toLowerCase() !== 'info') socket.write('+OK\r\n')
        else {
          const info = asked++ === 0 ? 'loading:1\r\nloading_eta_seconds:30\r\n' : 'redis_version:7.0.15\r\nloading:0\r\n'
          socket.write(`$${info.length}\r\n${info}\r\n`)
        }
      }
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const began = Date.now()
  const client = await connectRedis(`redis://127.0.0.1:${(server.address() as AddressInfo).port}`, 'test', logger, 4000)
  t.ok(Date.now() - began < 10_000)
  client.disconnect()
  server.close()
})
