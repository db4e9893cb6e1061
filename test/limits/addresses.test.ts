import { fastify } from 'fastify'
import t from 'tap'
import { ConfigError } from '../../src/config.ts'
import { addressKey, readTrustProxy } from '../../src/limits/addresses.ts'

t.test('an IPv4 address is its own key, an IPv6 address shares that of its /64', async t => {
  for (const [ip, key] of [
    [undefined, 'gone'],
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::1', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ] as const) t.equal(addressKey(ip), key, String(ip))
})

/** What `request.ip` is for a request from 127.0.0.1 (or another `remoteAddress`) that says it was forwarded. */
async function ipOf (trust: string | undefined, forwarded: string, remoteAddress?: string): Promise<string> {
  const app = fastify({ trustProxy: readTrustProxy(trust) })
  app.get('/', async ({ ip }) => ip)
  const { body } = await app.inject({ url: '/', headers: { 'x-forwarded-for': forwarded }, ...(remoteAddress === undefined ? {} : { remoteAddress }) })
  await app.close()
  return body
}

t.test('X-Forwarded-For is believed of those who are trusted, and of nobody else', async t => {
  const forwarded = '203.0.113.9, 198.51.100.1, 10.0.0.2'
  t.equal(await ipOf(undefined, forwarded), '127.0.0.1')
  t.equal(await ipOf('1', forwarded), '10.0.0.2')
  t.equal(await ipOf('2', forwarded), '198.51.100.1')
  t.equal(await ipOf('9', forwarded), '203.0.113.9')
  t.equal(await ipOf('127.0.0.1', forwarded), '10.0.0.2')
  t.equal(await ipOf('127.0.0.0/8, 10.0.0.0/8', forwarded), '198.51.100.1')
  t.equal(await ipOf('192.0.2.1', forwarded), '127.0.0.1')
  t.equal(await ipOf('::1', forwarded, '::1'), '10.0.0.2')
  t.equal(await ipOf('1', forwarded, '::ffff:10.1.2.3'), '10.0.0.2')
})

t.test('a number of hops is not believed of a peer that came past the load balancers', async t => {
  t.equal(await ipOf('1', '203.0.113.9', '198.51.100.77'), '198.51.100.77')
  t.equal(await ipOf('2', '203.0.113.9', '2001:db8::7'), '2001:db8::7')
  t.equal(await ipOf('198.51.100.0/24', '203.0.113.9', '198.51.100.77'), '203.0.113.9', 'unless it is named')
})

t.test('a TRUST_PROXY that is neither is said in one line', async t => {
  for (const text of ['0', '-1', '100', '1.5', 'yes', 'true', '10.0.0.0/33', '10.0.0.0/0', '::/129', '10.0.0.1,', '10.0.0.1 10.0.0.2', '300.0.0.1', 'proxy.example']) {
    t.throws(() => readTrustProxy(text), ConfigError, text)
  }
})
