/**
 * The health check of the image: ends with 0 if the role of this container answers `/healthz`, on the port of a gateway or that of the
 * other roles. Plain JavaScript without imports of ours, so that it costs little, however often it runs.
 */
import http from 'node:http'
import https from 'node:https'

const ANSWER_MS = 3000

const { HOST, PORT = '8080', OPS_HOST, OPS_PORT = '9465', TLS_CERT = '' } = process.env

/** Where to reach what listens on `host`. */
const reach = host => [undefined, '', '0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host

/** Resolves with the status; of a certificate nothing is checked, for it is not made out for this address. */
const ask = (library, host, port) => new Promise((resolve, reject) => {
  const request = library.get({ host: reach(host), port, path: '/healthz', timeout: ANSWER_MS, rejectUnauthorized: false, agent: false }, response => {
    response.resume()
    response.on('end', () => { resolve(response.statusCode) })
  })
  request.on('timeout', () => { request.destroy(new Error('no answer in time')) })
  request.on('error', reject)
})

const answers = await Promise.allSettled([ask(TLS_CERT === '' ? http : https, HOST, PORT), ask(http, OPS_HOST, OPS_PORT)])
const healthy = answers.some(({ value }) => value === 200)
if (!healthy) console.error(answers.map(({ reason, value }) => reason?.message ?? `status ${value}`).join('; '))
process.exit(healthy ? 0 : 1)
