// https and wss by the gateway itself: people chat over it, a renewed certificate is taken without a restart, and what is wrong with
// the files is one line.
import t, { type Test } from 'tap'
import { execFileSync, spawn } from 'node:child_process'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Server, TLSSocket } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import { readSigningKey } from '../../src/auth/tokens.ts'
import { createServer } from '../../src/http/server.ts'
import { readKeyPair, tlsFiles, TlsUnfit, watchKeyPair } from '../../src/http/tls.ts'
import { createLogger } from '../../src/telemetry/logging.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { MAIN } from '../dev/compiled.ts'
import { environment, openServers, startRole } from '../e2e/world.ts'
import { until } from '../until.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const silent = createLogger({ level: 'silent', role: 'test' })

function folder (t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-tls-'))
  t.teardown(() => { rmSync(dir, { recursive: true }) })
  return dir
}

/** A certificate for 127.0.0.1 that nobody else has signed, and its key. */
function selfSigned (dir: string, name: string, days = 30): { cert: string, key: string } {
  const files = { cert: join(dir, `${name}.crt`), key: join(dir, `${name}.key`) }
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', String(days), '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', files.key, '-out', files.cert], { stdio: 'pipe' })
  return files
}

/** The name on the certificate that new connections are shown. */
async function shown (port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const { subject } = socket.getPeerCertificate()
  socket.destroy()
  return String(subject.CN)
}

t.test('a gateway with a certificate speaks https and wss, and nothing else', async t => {
  const { cert, key } = selfSigned(folder(t), 'millrace')
  const servers = await openServers(t)
  const env = { ...environment(servers), TLS_CERT: cert, TLS_KEY: key }
  const gateway = await startRole(t, ['gateway'], env)
  t.match(gateway.url, /^https:/)
  const trusting = { PATH: process.env.PATH, NODE_EXTRA_CA_CERTS: cert }
  const run = async (args: string[], more = {}): Promise<{ code: number, out: string }> => {
    const child = spawn(process.execPath, args, { cwd: ROOT, env: { ...trusting, ...more }, stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', data => { out += String(data) })
    const [code] = await once(child, 'close')
    return { code, out }
  }
  t.match(await run(['bin/millrace.js', 'demo', gateway.url]), { code: 0, out: /Nothing missing, nothing twice/ })
  t.match(await run(['docker/healthcheck.js'], { PORT: new URL(gateway.url).port, TLS_CERT: cert }), { code: 0 })
  t.match(await run(['docker/healthcheck.js'], { PORT: new URL(gateway.url).port, OPS_PORT: '1' }), { code: 1 })
  await t.rejects(fetch(gateway.url.replace('https', 'http')), 'http is not answered')

  const signUp = request(`${gateway.url}/auth/signup`, { method: 'POST', ca: readFileSync(cert), agent: false, headers: { 'content-type': 'application/json' } })
  signUp.end(JSON.stringify({ username: 'ada', password: 'correct horse battery', cookie: true }))
  const [answer] = await once(signUp, 'response')
  answer.resume()
  t.equal(answer.statusCode, 201)
  t.match(answer.headers['set-cookie']?.join(), 'Secure', 'its cookies are for https only')
  t.equal(await gateway.stop(), 0)

  const other = selfSigned(folder(t), 'other')
  const mismatched = await run([MAIN, 'gateway'], { ...env, TLS_KEY: other.key, PORT: '0' })
  t.equal(mismatched.code, 1)
  t.match(mismatched.out.trim().split('\n').filter(line => !line.startsWith('{')), { length: 1, 0: /^TLS_KEY=.* is not the key of the certificate in TLS_CERT=/ })
})

t.test('a renewed certificate serves new connections and cuts none; one that does not fit is said once', async t => {
  const dir = folder(t)
  const [first, second] = [selfSigned(dir, 'first'), selfSigned(dir, 'second', 3)]
  const files = { cert: join(dir, 'tls.crt'), key: join(dir, 'tls.key') }
  const put = (from: { cert: string, key: string }): void => {
    copyFileSync(from.cert, files.cert)
    copyFileSync(from.key, files.key)
  }
  put(first)
  const pair = readKeyPair(files)
  const signingKey = readSigningKey(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  const app = await createServer({ signingKey, metrics: createMetrics('gateway'), logger: silent, tls: pair })
  app.get('/here', async () => 'here')
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => { await app.close() })
  const { port } = app.server.address() as AddressInfo

  const lines: Array<{ level: number, msg: string, reason?: string }> = []
  const logger = pino(new Writable({ write: (line, _encoding, done) => { lines.push(JSON.parse(String(line))); done() } }))
  const watch = watchKeyPair({ files, pair, serve: pair => { (app.server as unknown as Server).setSecureContext(pair) }, logger, clock: Date.now, lookMs: 20 })
  t.teardown(watch.stop)
  t.equal(await shown(port), 'first')
  const old: TLSSocket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
  await once(old, 'secureConnect')

  writeFileSync(files.cert, readFileSync(second.cert)) // its key is not there yet
  await until(() => lines.some(({ level }) => level === 50))
  t.match(lines, [{ level: 50, msg: /the one before stays/, reason: /is not the key of/ }])
  await new Promise(resolve => setTimeout(resolve, 100))
  t.equal(lines.length, 1, 'once')
  t.equal(await shown(port), 'first')
  writeFileSync(files.key, readFileSync(second.key))
  await until(async () => await shown(port) === 'second')
  t.match(lines.slice(1), [{ level: 30, msg: 'a new TLS certificate is in use' }, { level: 40, msg: 'the TLS certificate expires soon' }])
  old.write('GET /here HTTP/1.1\r\nHost: millrace\r\n\r\n')
  t.match(String((await once(old, 'data'))[0]), /^HTTP\/1\.1 200/, 'who was connected still is')
  old.destroy()
  rmSync(files.cert)
  await until(() => lines.length > 3)
  t.match(lines.at(-1), { level: 50, reason: /ENOENT/ })
  t.equal(await shown(port), 'second')
})

t.test('what is wrong with the files is one line that names them and nothing of the key', async t => {
  const dir = folder(t)
  const good = selfSigned(dir, 'good')
  const encrypted = join(dir, 'encrypted.key')
  execFileSync('openssl', ['ec', '-in', good.key, '-aes256', '-passout', 'pass:secret', '-out', encrypted], { stdio: 'pipe' })
  const wrong: Array<[string, { cert: string, key: string }, RegExp]> = [
    ['no certificate', { ...good, cert: join(dir, 'none') }, /^TLS_CERT=.*none cannot be read \(ENOENT\)/],
    ['no key', { ...good, key: join(dir, 'none') }, /^TLS_KEY=.*none cannot be read \(ENOENT\)/],
    ['a folder', { ...good, key: dir }, /^TLS_KEY=.* cannot be read \(EISDIR\)/],
    ['exchanged', { cert: good.key, key: good.cert }, /^TLS_CERT=.* is not a certificate/],
    ['two certificates', { ...good, key: good.cert }, /^TLS_KEY=.* is not a private key/],
    ['an encrypted key', { ...good, key: encrypted }, /^TLS_KEY=.* is not a key without a passphrase/],
    ['the key of another', { ...good, key: selfSigned(dir, 'other').key }, /^TLS_KEY=.* is not the key of the certificate/],
  ]
  for (const [what, files, line] of wrong) {
    try {
      readKeyPair(files)
      t.fail(what)
    } catch (error) {
      t.ok(error instanceof TlsUnfit, what)
      t.match((error as Error).message, line)
      t.equal((error as Error).message.split('\n').length, 1, what)
    }
  }
  t.ok(new X509Certificate(readKeyPair(good).cert))
  t.equal(tlsFiles({}), undefined)
  t.throws(() => tlsFiles({ TLS_CERT: 'a' }), /^TLS_KEY is missing/)
  t.throws(() => tlsFiles({ TLS_KEY: 'a' }), /^TLS_CERT is missing/)
})
