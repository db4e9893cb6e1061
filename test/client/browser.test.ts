// The client in a real Chromium, with what only a browser has: its WebSocket, IndexedDB and localStorage, Web Locks, pages that are
// loaded anew, several tabs, a network that the browser itself says is gone. It talks to a client in Node over another gateway.
import t, { type Test } from 'tap'
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { chromium, type BrowserContext, type Page } from 'playwright-core'
import { connect, signUp, type RoomEvent } from '../../src/client/client.ts'
import { millrace } from '../e2e/world.ts'
import { until } from '../until.ts'
import { buildClient, CHROMIUM, LEFT_OUT, startFront } from './page.ts'

const PASSWORD = 'correct horse battery'
const BACK_OFF = { baseMs: 50, capMs: 300 }
/** For a page to have what it waits for. */
const PAGE_MS = 15_000

type StoreKind = 'indexedDb' | 'localStorage'

/** What a page holds. */
interface Chat { client: any, room: any, heard: Array<{ seq: number, content?: string }>, resets: number, sent: Array<Promise<unknown>>, errors: string[] }

t.test('the client in a browser', { skip: LEFT_OUT, timeout: 500_000 }, async t => {
  const modules = t.testdir()
  mkdirSync(`${modules}/client`)
  const [world, browser] = await Promise.all([
    millrace(t, { env: { ACCESS_TOKEN_S: '8', HEARTBEAT_MS: '1000' } }),
    chromium.launch({ executablePath: CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] }),
    buildClient(`${modules}/client`),
  ])
  t.teardown(async () => { await browser.close() })
  const front = await startFront(t, { gateway: world.urlOf(0), modules })

  // The one in Node, over the other gateway.
  const bobName = `bob${randomUUID().slice(0, 8)}`
  const signedUp = await signUp({ url: world.urlOf(1), username: bobName, password: PASSWORD })
  const roomId = await world.room(signedUp.access_token)
  const bob = connect({ url: world.urlOf(1), refreshToken: signedUp.refresh_token!, backOff: BACK_OFF })
  t.teardown(async () => { await bob.close() })
  const bobs = bob.room(roomId)
  const heard: RoomEvent[] = []
  bobs.on('event', event => { heard.push(event) })
  await until(() => bobs.position !== undefined, { what: 'bob to be in the room' }) // it begins at the head: what is said before is not heard
  await bobs.send('first')
  await until(() => heard.length > 0)
  const headOf = () => heard.at(-1)!.seq
  const bobSays = async (count: number, about: string): Promise<void> => { for (let i = 0; i < count; i++) await bobs.send(`${about} ${i}`) }
  const heardBy = (content: string): number => heard.filter(event => event.content === content).length

  /** A browser of its own, in which somebody signs up and joins. */
  async function person (store: StoreKind) {
    const context = await browser.newContext()
    context.setDefaultTimeout(PAGE_MS)
    t.teardown(async () => { await context.close() })
    const page = await load(context)
    const refreshToken = await page.evaluate(async ([base, username, password, roomId]) => {
      const url = '/modules/client/client.js'
      const { signUp } = await import(url)
      const { access_token, refresh_token } = await signUp({ url: base, username, password })
      const joined = await fetch(`/rooms/${roomId}/join`, { method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${access_token}` }, body: '{}' })
      if (!joined.ok) throw new Error(`join: ${joined.status}`)
      return refresh_token as string
    }, [front.url, `ada${randomUUID().slice(0, 8)}`, PASSWORD, roomId])
    return { context, page, chat: async (on: Page) => { await chat(on, { store, refreshToken }) } }
  }

  async function load (context: BrowserContext): Promise<Page> {
    const page = await context.newPage()
    page.on('pageerror', error => { t.fail(`the page threw ${error.stack ?? error.message}`) })
    await page.goto(`${front.url}/page`)
    return page
  }

  /** Begins to chat in a page, from where the store says that an earlier one was. */
  async function chat (page: Page, options: { store: StoreKind, refreshToken: string }): Promise<void> {
    await page.evaluate(async ({ base, store, refreshToken, roomId, backOff }) => {
      const url = '/modules/client/client.js'
      const { connect, indexedDbStore, localStorageStore } = await import(url)
      const client = connect({ url: base, refreshToken, store: store === 'indexedDb' ? indexedDbStore('chat') : localStorageStore('chat'), backOff })
      const room = client.room(roomId)
      const chat: Chat = { client, room, heard: [], resets: 0, sent: [], errors: [] }
      Object.assign(globalThis, { chat })
      client.on('error', (error: unknown) => { chat.errors.push(String(error)) })
      room.on('reset', () => { chat.resets++ })
      room.on('event', ({ seq, content }: RoomEvent) => { chat.heard.push({ seq, ...(content !== undefined && { content }) }) })
    }, { ...options, base: front.url, roomId, backOff: BACK_OFF })
  }

  const of = async <T>(page: Page, look: (chat: Chat) => T | Promise<T>): Promise<T> =>
    await page.evaluate(`(${look.toString()})(globalThis.chat)`) as T // a function has no closure over there
  const seqsOf = async (page: Page): Promise<number[]> => (await of(page, chat => chat.heard)).map(({ seq }) => seq)
  const live = async (page: Page): Promise<void> => { await until(async () => await of(page, ({ client }) => client.state.name) === 'live', { timeoutMs: PAGE_MS, what: 'the page to be live' }) }
  const reaches = async (page: Page, seq: number): Promise<void> => { await until(async () => (await seqsOf(page)).at(-1) === seq, { timeoutMs: PAGE_MS, what: `the page to have seq ${seq}` }) }
  const say = async (page: Page, content: string): Promise<void> => { await page.evaluate(text => { (globalThis as unknown as { chat: Chat }).chat.sent.push((globalThis as unknown as { chat: Chat }).chat.room.send(text)) }, content) }
  const queued = async (page: Page): Promise<number> => await of(page, ({ client }) => client.state.queued)
  const from = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i)
  const sound = async (t: Test, page: Page): Promise<void> => { t.same(await of(page, ({ resets, errors }) => ({ resets, errors })), { resets: 0, errors: [] }) }

  await t.test('a page signs up and talks; cut off, by the browser and by the network, it misses nothing and says once what it wrote', async t => {
    const ada = await person('indexedDb')
    const { page, context } = ada
    await ada.chat(page)
    await live(page)
    await say(page, 'hello from a page')
    await until(() => heardBy('hello from a page') === 1)
    await bobSays(3, 'hello page')
    await reaches(page, headOf())
    const [first] = await seqsOf(page)

    for (const [how, cut, back] of [
      ['setOffline', async () => { await context.setOffline(true) }, async () => { await context.setOffline(false) }],
      ['a cut', async () => { front.line.refuse() }, async () => { front.line.admit() }],
      ['both', async () => { front.line.refuse(); await context.setOffline(true) }, async () => { front.line.admit(); await context.setOffline(false) }],
    ] as const) {
      await cut()
      await until(async () => await of(page, ({ client }) => client.state.name) === 'offline', { timeoutMs: PAGE_MS, what: `the page to notice ${how}` })
      await say(page, `written offline: ${how}`)
      t.equal(await queued(page), 1)
      await bobSays(30, `missed by ${how}`)
      await back()
      await until(() => heardBy(`written offline: ${how}`) > 0, { timeoutMs: PAGE_MS, what: `what was written offline (${how})` })
      await bobs.send(`after ${how}`)
      await until(() => heard.at(-1)!.content === `after ${how}`)
      await reaches(page, headOf())
      t.equal(heardBy(`written offline: ${how}`), 1, 'what was written offline arrives once')
      t.equal(await queued(page), 0)
    }
    t.same(await seqsOf(page), from(first!, headOf()), 'all of it, once, in order')
    t.equal((await of(page, async ({ sent }) => (await Promise.allSettled(sent)).filter(({ status }) => status === 'rejected').length)), 0)
    await sound(t, page)
  })

  for (const store of ['indexedDb', 'localStorage'] as const) {
    await t.test(`${store} outlives the page: it goes on where it was, and says what was not said yet`, async t => {
      const ada = await person(store)
      const { page } = ada
      await ada.chat(page)
      await live(page)
      await bobSays(5, 'before the reload')
      await reaches(page, headOf())
      await of(page, async ({ client }) => { await client.close() })
      const last = headOf()
      await page.goto('about:blank')
      await bobSays(12, 'while nobody looks')
      front.away(true)
      await page.goto(`${front.url}/page`)
      await ada.chat(page)
      t.same(await seqsOf(page), [], 'there is nobody to give it anything')
      await say(page, `by a page that is gone (${store})`)
      await until(async () => await queued(page) === 1)
      await until(async () => await page.evaluate(async kind => { // it is in the store
        const url = '/modules/client/client.js'
        const { indexedDbStore, localStorageStore } = await import(url)
        return (await (kind === 'indexedDb' ? indexedDbStore('chat') : localStorageStore('chat')).list('outbox:')).length
      }, store) === 1)
      await page.reload()
      await ada.chat(page)
      front.away(false)
      await until(() => heardBy(`by a page that is gone (${store})`) > 0, { timeoutMs: PAGE_MS, what: 'what the page before had written' })
      await bobs.send('after the reload')
      await until(() => heard.at(-1)!.content === 'after the reload')
      await reaches(page, headOf())
      t.same(await seqsOf(page), from(last + 1, headOf()), 'what came since it was closed: all of it, once, in order')
      t.equal(heardBy(`by a page that is gone (${store})`), 1)
      await sound(t, page)
    })
  }

  await t.test('two tabs of one user: each hears everything once, tokens are refreshed for both, and what a closed one had not said the other says', async t => {
    const ada = await person('indexedDb')
    const { page: one, context } = ada
    const two = await load(context)
    await ada.chat(one)
    await live(one)
    await ada.chat(two)
    await live(two)
    const firsts = new Map<Page, number>()
    for (const page of [one, two]) {
      await say(page, `from tab ${page === one ? 1 : 2}`)
      await until(() => heardBy(`from tab ${page === one ? 1 : 2}`) === 1)
    }
    await until(async () => (await seqsOf(one)).length > 0 && (await seqsOf(two)).length > 0)
    for (const page of [one, two]) firsts.set(page, (await seqsOf(page))[0]!)
    for (let i = 0; i < 20; i++) { // for longer than an access token lives
      await Promise.all([bobSays(1, 'to both tabs'), say(one, `one ${i}`), say(two, `two ${i}`)])
      await new Promise(resolve => setTimeout(resolve, 500))
    }
    await until(() => heardBy('one 19') === 1 && heardBy('two 19') === 1)
    for (const page of [one, two]) {
      await reaches(page, headOf())
      t.same(await seqsOf(page), from(firsts.get(page)!, headOf()))
      t.equal(await of(page, ({ client }) => client.state.name), 'live')
    }
    t.same(from(0, 19).map(i => [heardBy(`one ${i}`), heardBy(`two ${i}`)]), from(0, 19).map(() => [1, 1]))

    front.away(true)
    await until(async () => await of(one, ({ client }) => client.state.name) === 'offline')
    await say(one, 'by a tab that is closed')
    await until(async () => await queued(one) === 1)
    await new Promise(resolve => setTimeout(resolve, 200))
    await one.close()
    front.away(false)
    await until(() => heardBy('by a tab that is closed') > 0, { timeoutMs: PAGE_MS, what: 'the other tab to say it' })
    await bobs.send('the end')
    await until(() => heard.at(-1)!.content === 'the end')
    await reaches(two, headOf())
    t.equal(heardBy('by a tab that is closed'), 1)
    t.same(await seqsOf(two), from(firsts.get(two)!, headOf()))
    await sound(t, two)
  })

  t.same(heard.map(({ seq }) => seq), from(heard[0]!.seq, headOf()), 'in Node as well: all of it, once, in order')
})
