import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, sign as signBytes } from 'node:crypto'
import t from 'tap'
import { gatewayTokens } from './gateway-tokens.ts'

const pem = (key = generateKeyPairSync('ed25519').privateKey): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()

const PRIVATE = pem()
const WHO = { user_id: '019abc00-0000-7000-8000-000000000001', session_id: '019abc00-0000-7000-8000-000000000002' }
const NOW = Date.parse('2026-11-20T10:00:00.400Z')

const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const claims = (more = {}): Record<string, unknown> => ({ iss: 'millrace', aud: 'millrace', sub: WHO.user_id, sid: WHO.session_id, iat: NOW / 1000, exp: NOW / 1000 + 60, ...more })

/** A token with this header and these claims, signed by hand. */
function forge (header: object, payload: unknown, key = PRIVATE): string {
  const input = `${base64(header)}.${base64(payload)}`
  return `${input}.${signBytes(null, Buffer.from(input), createPrivateKey(key)).toString('base64url')}`
}

const tokensAt = async (now = NOW, privateKey = PRIVATE) => await gatewayTokens(privateKey, () => now)

t.test('a token says who signed it for whom, until when', async t => {
  const tokens = await tokensAt()
  const token = tokens.sign(WHO)
  t.same(tokens.verify(token), { ...WHO, expires_at: Date.parse('2026-11-20T10:15:00.000Z') })
  const [header = '', payload = ''] = token.split('.')
  t.same(JSON.parse(Buffer.from(header, 'base64url').toString()), { alg: 'EdDSA', typ: 'JWT', kid: tokens.jwks.keys[0]?.kid })
  t.match(JSON.parse(Buffer.from(payload, 'base64url').toString()), { iss: 'millrace', aud: 'millrace', sub: WHO.user_id, sid: WHO.session_id, iat: NOW / 1000 - 0.4, exp: NOW / 1000 - 0.4 + 900 })
  t.ok(tokens.verify(forge({ alg: 'EdDSA', typ: 'JWT' }, claims())), 'the forger of these tests can sign')
})

t.test('gateways that share the key verify each other\'s tokens, in whatever form it was given', async t => {
  const token = (await tokensAt()).sign(WHO)
  const der = createPrivateKey(PRIVATE).export({ type: 'pkcs8', format: 'der' }).toString('base64')
  for (const form of [PRIVATE, PRIVATE.trim().replaceAll('\n', '\\n'), Buffer.from(PRIVATE).toString('base64'), der]) t.ok((await tokensAt(NOW, form)).verify(token))
  t.equal((await tokensAt(NOW, pem())).verify(token), undefined)
})

t.test('a token ends', async t => {
  const token = (await tokensAt()).sign(WHO)
  t.ok((await tokensAt(NOW + 899_000)).verify(token))
  t.equal((await tokensAt(NOW + 900_000)).verify(token), undefined)
})

t.test('forgeries are refused', async t => {
  const tokens = await tokensAt()
  const open = createPublicKey(PRIVATE)
  const hmac = (secret: string | Buffer, alg = 'HS256'): string => {
    const input = `${base64({ alg, typ: 'JWT' })}.${base64(claims())}`
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
  }
  const good = tokens.sign(WHO)
  const [header, payload, signature] = good.split('.')
  const forgeries: Record<string, string> = {
    'alg none without a signature': `${base64({ alg: 'none', typ: 'JWT' })}.${base64(claims())}.`,
    'alg None with the signature of another': `${base64({ alg: 'None' })}.${base64(claims())}.${signature}`,
    'no alg': forge({ typ: 'JWT' }, claims()),
    'another key': forge({ alg: 'EdDSA', typ: 'JWT' }, claims(), pem()),
    'HS256 with the public key as PEM': hmac(open.export({ type: 'spki', format: 'pem' }).toString()),
    'HS256 with the public key as DER': hmac(open.export({ type: 'spki', format: 'der' })),
    'HS256 with the public key raw': hmac(Buffer.from(tokens.jwks.keys[0]!.x, 'base64url')),
    'HS256 with an empty secret': hmac(''),
    'another issuer': forge({ alg: 'EdDSA', typ: 'JWT' }, claims({ iss: 'somebody' })),
    'another audience': forge({ alg: 'EdDSA', typ: 'JWT' }, claims({ aud: 'somebody' })),
    'no expiry': forge({ alg: 'EdDSA', typ: 'JWT' }, claims({ exp: undefined })),
    'an expiry in words': forge({ alg: 'EdDSA', typ: 'JWT' }, claims({ exp: 'never' })),
    'no session': forge({ alg: 'EdDSA', typ: 'JWT' }, claims({ sid: undefined })),
    'no user': forge({ alg: 'EdDSA', typ: 'JWT' }, claims({ sub: undefined })),
    'a user that is no text': forge({ alg: 'EdDSA', typ: 'JWT' }, claims({ sub: 7 })),
    'not valid before tomorrow': forge({ alg: 'EdDSA', typ: 'JWT' }, claims({ nbf: NOW / 1000 + 60 })),
    'expired a second ago': forge({ alg: 'EdDSA', typ: 'JWT' }, claims({ exp: NOW / 1000 - 1 })),
    'a critical header that nobody knows': forge({ alg: 'EdDSA', typ: 'JWT', crit: ['x'], x: 1 }, claims()),
    'claims that are no object': forge({ alg: 'EdDSA', typ: 'JWT' }, 'claims'),
    'other claims under the signature': `${header}.${base64(claims({ sub: 'root' }))}.${signature}`,
    'a part missing': `${header}.${payload}`,
    'a part too many': `${good}.${signature}`,
    'a byte changed': good.slice(0, -5) + (good.at(-5) === 'A' ? 'B' : 'A') + good.slice(-4),
    'white space': ` ${good}`,
    'far too long': good + 'A'.repeat(100_000),
    nothing: '',
    garbage: '\u0000.\ud800.💥',
    dots: '..',
  }
  for (const [what, token] of Object.entries(forgeries)) t.equal(tokens.verify(token), undefined, what)
})

t.test('the published key is the public half, named by its thumbprint', async t => {
  const { keys: [jwk] } = (await tokensAt()).jwks
  t.same(Object.keys(jwk!).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x'])
  const input = forge({ alg: 'EdDSA' }, claims()).split('.')
  const key = createPublicKey({ key: { kty: jwk!.kty, crv: jwk!.crv, x: jwk!.x }, format: 'jwk' })
  const { verify } = await import('node:crypto')
  t.ok(verify(null, Buffer.from(`${input[0]}.${input[1]}`), key, Buffer.from(input[2]!, 'base64url')))
  // RFC 8037 appendix A.3
  const example = { kty: 'OKP', crv: 'Ed25519', d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
  t.equal((await tokensAt(NOW, pem(createPrivateKey({ key: example, format: 'jwk' })))).jwks.keys[0]?.kid, 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k')
})

t.test('a key that is none is refused in one line that does not show it', async t => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  for (const key of ['', 'secret', Buffer.from('secret').toString('base64'), pem(rsa), PRIVATE.slice(0, 60)]) {
    try {
      await tokensAt(NOW, key)
      t.fail('it was taken')
    } catch (error) {
      t.match(error, { name: 'SigningKeyUnfit', message: /^JWT_PRIVATE_KEY [^\n]*$/ })
      if (key !== '') t.notOk((error as Error).message.includes(key))
    }
  }
})
