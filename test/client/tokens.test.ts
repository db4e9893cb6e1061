// Tokens by refresh: one refresh at a time, the successor stored, the end when no token can be had any more.
import t from 'tap'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { memoryStore } from '../../src/client/store.ts'
import { createTokens, logOut, renewInMs, Unobtainable } from '../../src/client/tokens.ts'
import type { Teardown } from '../e2e/world.ts'

/** Refresh tokens r1, r2, …, each good once, as the server's are; an old one ends the session. */
async function authority (t: Teardown) {
  let n = 1
  let over = false
  const asked: Array<{ refresh_token?: string, cookie?: string | undefined, by?: string | string[] | undefined }> = []
  const faults: number[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', data => { body += data })
    request.on('end', () => {
      void (async () => {
        await sleep(20)
        const { refresh_token } = JSON.parse(body)
        asked.push({ refresh_token, by: request.headers['x-requested-with'] })
        const fault = faults.shift()
        const say = (status: number, answer: object) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
        if (fault !== undefined) return say(fault, { code: 'unavailable', retry_after_ms: 70 })
        over ||= refresh_token !== undefined && refresh_token !== `r${n}`
        if (over) return say(401, { code: 'bad_refresh_token', title: 'used before' })
        n++
        say(200, { access_token: `a${n}`, refresh_token: `r${n}`, expires_in: 5, user: {} })
      })()
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, faults, end () { over = true } }
}

t.test('one refresh at a time, also among clients that share a store; a later page goes on with the successor', async t => {
  const { url, asked } = await authority(t)
  const store = memoryStore()
  const tabs = [1, 2, 3].map(() => createTokens({ url, refreshToken: 'r1', store }))
  const tokens = await Promise.all(tabs.flatMap(tab => [tab.get(), tab.get()]))
  t.same(new Set(tokens), new Set(['a2', 'a3', 'a4']))
  t.same(asked.map(({ refresh_token }) => refresh_token), ['r1', 'r2', 'r3'], 'no refresh token is used twice')
  t.equal(await tabs[0]!.get(), tokens[0], 'kept while nobody complains')
  t.equal(await createTokens({ url, refreshToken: 'r1', store }).get(), 'a5', 'the page is loaded anew, with the token of its log-in')
  t.equal(await createTokens({ url, store }).get(), 'a6', 'or with none')
  tabs[0]!.drop()
  t.equal(await tabs[0]!.get(), 'a7')
  t.equal(await tabs[0]!.renew(), 'a8')
})

t.test('a given token is used as long as it is good, then refreshed', async t => {
  const { url } = await authority(t)
  const tokens = createTokens({ url, token: 'given', refreshToken: 'r1', store: memoryStore() })
  t.equal(await tokens.get(), 'given')
  tokens.drop()
  t.equal(await tokens.get(), 'a2')
  const only = createTokens({ url, token: 'given', store: memoryStore() })
  t.equal(await only.renew(), undefined)
  t.equal(await only.get(), 'given', 'what cannot be renewed is not thrown away')
  only.drop()
  await t.rejects(only.get(), { code: 'unauthenticated' })
})

t.test('a fault is no end, a refresh token that is not good any more is', async t => {
  const { url, faults, end } = await authority(t)
  const tokens = createTokens({ url, refreshToken: 'r1', store: memoryStore() })
  faults.push(503)
  const error = await tokens.get().catch(error => error)
  t.match(error, { code: 'unavailable', retryAfterMs: 70 })
  t.notOk(error instanceof Unobtainable)
  t.equal(await tokens.get(), 'a2')
  end()
  tokens.drop()
  const over = await tokens.get().catch(error => error)
  t.ok(over instanceof Unobtainable)
  t.match(over, { code: 'bad_refresh_token' })
  t.match(await createTokens({ url: 'http://127.0.0.1:9', refreshToken: 'r1', store: memoryStore() }).get().catch(error => error), { code: 'unreachable' })
})

t.test('with the cookie nothing is stored, and the request proves to be of our own page', async t => {
  const { url, asked } = await authority(t)
  const store = memoryStore()
  t.equal(await createTokens({ url, cookie: true, store }).get(), 'a2')
  t.same(asked, [{ refresh_token: undefined, by: 'millrace' }])
  t.same(await store.list(''), [])
})

t.test('whoever logs out has no token left; where the server cannot be told, it is kept for another try', async t => {
  const { url, asked, faults, end } = await authority(t)
  const store = memoryStore()
  await createTokens({ url, refreshToken: 'r1', store }).get()
  await t.rejects(logOut({ url: 'http://127.0.0.1:9', store }), { code: 'unreachable' })
  faults.push(503)
  await t.rejects(logOut({ url, store }), { code: 'unavailable' })
  t.equal((await store.list('')).length, 1)
  await logOut({ url, store })
  t.equal(asked.at(-1)?.refresh_token, 'r2', 'the successor')
  t.same(await store.list(''), [])
  const before = asked.length
  await logOut({ url, store })
  t.equal(asked.length, before, 'there is nothing to end')
  end()
  await logOut({ url, cookie: true })
  t.match(asked.at(-1), { by: 'millrace' }, 'what is over already is no fault')
})

t.test('when a token is to be renewed goes by the server\'s clock', async t => {
  const token = `x.${Buffer.from(JSON.stringify({ exp: Date.parse('2026-11-20T10:01:40.000Z') / 1000 })).toString('base64url')}.x`
  t.equal(renewInMs(token, '2026-11-20T10:00:00.000Z'), 80_000)
  t.equal(renewInMs(token, '2026-11-20T11:00:00.000Z'), undefined)
  t.equal(renewInMs('no JWT', '2026-11-20T10:00:00.000Z'), undefined)
})
