// Requests to URLs that users give: to public addresses only, however these are written, and within bounds.
import t from 'tap'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createEgress, isPublic, NotPublic, wrongWithUrl } from '../../src/limits/egress.ts'

t.test('an address is public or not, however it is written', async t => {
  for (const address of ['8.8.8.8', '1.1.1.1', '172.32.0.1', '2606:4700::1111', '2a00:1450:4001:80b::200e']) t.ok(isPublic(address), address)
  const local = ['127.0.0.1', '127.8.8.8', '10.0.0.1', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '0.0.0.0', '224.0.0.1', '255.255.255.255', '192.0.2.1', '198.18.0.1']
  for (const address of [...local, '::1', '::', 'fe80::1', 'fc00::1', 'fd12::1', 'ff02::1', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '64:ff9b::7f00:1', '2002:7f00:1::', '2001::1', '2001:db8::1']) t.notOk(isPublic(address), address)
})

t.test('what can be told of a URL at once is told at once', async t => {
  const wrong = (url: string, more = {}) => wrongWithUrl(url, { allowPrivate: false, insecure: true, ...more })
  for (const url of ['https://example.com/hook', 'http://example.com:8080/', 'https://8.8.8.8/', 'https://[2606:4700::1111]/']) t.equal(wrong(url), undefined, url)
  for (const url of ['', 'example.com', 'ftp://example.com/', 'javascript:alert(1)', 'https://user:pass@example.com/', 'https://exa mple.com/', 'https://example.com/\u0000', `https://example.com/${'x'.repeat(3000)}`]) t.match(wrong(url), /must/, JSON.stringify(url.slice(0, 50)))
  for (const url of ['http://127.0.0.1/', 'http://2130706433/', 'http://0x7f.1/', 'http://0177.0.0.1/', 'http://[::1]/', 'http://[::ffff:7f00:1]/', 'http://localhost/', 'http://LOCALHOST./', 'http://a.localhost/', 'http://169.254.169.254/latest/meta-data']) {
    t.equal(wrong(url), 'it must lead to a public address', url)
    t.equal(wrong(url, { allowPrivate: true }), undefined, url)
  }
  t.equal(wrong('http://example.com/', { insecure: false }), 'it must be an https URL')
})

t.test('the address that is connected to is what is checked', async t => {
  const server = createServer((_request, response) => { response.end('secret') }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  const { port } = server.address() as AddressInfo
  const closed = createEgress({ allowPrivate: false })
  const open = createEgress({ allowPrivate: true })
  t.teardown(() => { closed.close(); open.close() })
  const request = { headers: {}, body: '{}', timeoutMs: 2000 }
  for (const host of ['localhost', '127.0.0.1', '[::ffff:127.0.0.1]', '2130706433']) {
    await t.rejects(closed.post(`http://${host}:${port}/`, request), NotPublic, host)
    t.same(await open.post(`http://${host}:${port}/`, request), { status: 200, text: 'secret' })
  }
})

t.test('whoever does not answer, or never ends, is given up', async t => {
  const server = createServer((request, response) => {
    if (request.url === '/drip') {
      response.write('x')
      const timer = setInterval(() => { response.write('x') }, 50)
      response.on('close', () => { clearInterval(timer) })
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.closeAllConnections(); server.close() })
  const { port } = server.address() as AddressInfo
  const egress = createEgress({ allowPrivate: true })
  t.teardown(() => { egress.close() })
  for (const path of ['/silent', '/drip']) {
    const began = performance.now()
    await t.rejects(egress.post(`http://127.0.0.1:${port}${path}`, { headers: {}, body: '', timeoutMs: 300 }), path)
    t.ok(performance.now() - began < 10_000, path)
  }
  const stop = new AbortController()
  setTimeout(() => { stop.abort() }, 50)
  await t.rejects(egress.post(`http://127.0.0.1:${port}/silent`, { headers: {}, body: '', timeoutMs: 60_000, signal: stop.signal }))
})
