// The server is killed in the middle of a conversation and started again: what both wrote before, meanwhile and after is there once each, in one
// order, and the chip tells the truth all the while.
import t from 'tap'
import { millrace } from '../e2e/world.ts'
import { decodeEvent } from '../../src/log/codec.ts'
import { LOBBY_ID } from '../../src/domain/lobby.ts'
import { until } from '../until.ts'
import { browserAt, built, lacksBrowser } from './browser.ts'

const WRITTEN = 12

t.test('a server that is killed and comes back in mid-conversation', { skip: lacksBrowser }, async t => {
  await built()
  const world = await millrace(t, { gateways: 1 })
  const server = world.gateways[0]!
  const { person } = await browserAt(t, server.url)
  const [ada, bob] = await Promise.all([person('ada'), person('bob')])
  const people = [ada, bob]
  await Promise.all(people.map(async person => { await person.open('Lobby') }))
  await ada.say('is this on?')
  await bob.message('is this on?').waitFor()

  await t.test('killed while both write', async () => {
    const talk = Promise.all(people.map(async ({ name, say }) => { for (let i = 1; i <= WRITTEN; i++) await say(`${name} ${i}`) }))
    await ada.message(/ada [1-6]/).first().waitFor()
    await server.kill()
    await talk
    await Promise.all(people.map(async ({ connection }) => { await connection('offline') }))
    for (const { name, say } of people) await say(`${name} writes to nobody`)
  })

  await t.test('while it is away, the chip says that there is no connection, and how much waits', async t => {
    for (const { page } of people) {
      const chip = page.getByTestId('connection').first()
      t.match(await chip.innerText(), /^(Offline|Connecting) · \d+ queued$/)
      const waiting = Number(/(\d+) queued/.exec(await chip.innerText())?.[1])
      t.equal(await page.locator('[data-testid=message][data-state=sending]').count(), waiting, 'as many as are shown as on their way')
    }
  })

  await t.test('started again, nothing is lost and nothing twice, for both in the one order of the log', async t => {
    await server.restart()
    await Promise.all(people.map(async ({ connection }) => { await connection('live') }))
    const written = ['is this on?', ...people.flatMap(({ name }) => [...Array.from({ length: WRITTEN }, (_, i) => `${name} ${i + 1}`), `${name} writes to nobody`])]
    await Promise.all(people.map(async ({ page, texts, name }) => {
      await page.locator('[data-testid=message][data-state]').first().waitFor({ state: 'detached' })
      await until(async () => (await texts()).length >= written.length, { what: `${name} to see everything` })
    }))
    const [one, other] = await Promise.all(people.map(async ({ texts }) => await texts()))
    t.same(one!.toSorted(), written.toSorted(), 'each message once')
    t.same(other, one, 'both see one order')
    for (const { name } of people) t.same(one!.filter(text => text.startsWith(name)), written.filter(text => text.startsWith(name)), `what ${name} wrote is in the order in which it was written`)
    const log = (await world.logOf(LOBBY_ID)).map(decodeEvent).filter(event => event.type === 'message')
    t.same(log.map(({ content }) => content), one, 'it is the order of the log')
    await Promise.all(people.map(async ({ page }) => { t.equal(await page.getByTestId('connection').first().innerText(), 'Live') }))
  })

  await t.test('and the conversation goes on', async () => {
    await bob.say('there you are')
    await ada.message('there you are').waitFor()
  })
})
