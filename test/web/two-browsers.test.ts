// What the web client is for: two people in two browsers talk; whoever was away gets what was missed, once each, in order; what is written
// without a network arrives once.
import t from 'tap'
import { until } from '../until.ts'
import { lacksBrowser, webWorld, type Person } from './browser.ts'

const MISSED = Array.from({ length: 30 }, (_, i) => `missed ${i + 1}`)

t.test('two browsers talk', { skip: lacksBrowser }, async t => {
  const world = await webWorld(t)
  const [ada, bob] = await Promise.all([world.person('ada'), world.person('bob')])
  await Promise.all([ada.open('Lobby'), bob.open('Lobby')])
  const shows = async (person: Person, texts: string[]): Promise<void> => {
    await until(async () => (await person.texts()).length >= texts.length, { what: `${person.name} to see ${texts.length} messages` })
    t.same(await person.texts(), texts, `${person.name} sees each message once, in order`)
  }

  await t.test('what one writes the other reads, and the other way round', async t => {
    await ada.say('hello **bob**')
    await bob.message('hello bob').waitFor()
    t.equal(await bob.page.locator('.mr-content strong').innerText(), 'bob')
    await bob.say('hello ada')
    await ada.message('hello ada').waitFor()
  })

  await t.test('typing is shown, and over with the message', async () => {
    const typing = ada.page.getByTestId('typing').filter({ hasText: 'bob is typing' })
    await until(async () => { // it is told at most once in a few seconds
      await bob.page.getByTestId('composer').pressSequentially('so ')
      return await typing.count() > 0
    }, { everyMs: 300, what: 'typing to be shown' })
    await bob.page.getByTestId('composer').press('Enter')
    await ada.message('so so').or(ada.message('so')).first().waitFor()
    await ada.page.getByTestId('typing').filter({ hasNotText: 'typing' }).waitFor()
  })

  await t.test('one goes offline, the other writes 30 messages; back again, it shows them once each, in order', async t => {
    const before = await bob.texts()
    await bob.context.setOffline(true)
    await bob.connection('offline')
    await bob.say('written offline')
    await bob.page.locator('[data-testid=message][data-state=sending]').waitFor()
    t.match(await bob.page.getByTestId('connection').first().innerText(), /1 queued/, 'the chip counts what waits')
    for (const text of MISSED) await ada.say(text)
    await ada.message(MISSED.at(-1)!).waitFor()
    t.same(await bob.texts(), [...before, 'written offline'], 'nothing gets through')

    await bob.context.setOffline(false)
    await bob.connection('live')
    await bob.page.locator('[data-testid=message][data-state]').waitFor({ state: 'detached' })
    await shows(bob, [...before, ...MISSED, 'written offline'])
    await shows(ada, [...before, ...MISSED, 'written offline'])
  })

  await t.test('the plug: pulled, nothing comes; put back, everything does, from the log', async t => {
    await bob.page.getByRole('button', { name: 'Inspector' }).click()
    const position = async (): Promise<number> => Number.parseInt(await bob.page.getByTestId('position').innerText(), 10)
    const at = await position()
    await bob.page.getByTestId('plug').click()
    await bob.connection('offline')
    await bob.say('while unplugged')
    for (const text of ['one', 'two', 'three']) await ada.say(text)
    await ada.message('three').waitFor()
    t.equal(await position(), at, 'the position stands still')
    await bob.page.getByTestId('plug').click()
    await bob.connection('live')
    await bob.message('while unplugged').waitFor()
    await until(async () => await position() === at + 4, { what: 'all four to be there' })
    t.match(await bob.page.getByTestId('catch-up').innerText(), new RegExp(`^${at} → \\d+ from the (log|archive)$`))
    const sources = bob.page.locator(`[data-testid=log-row][data-seq="${at + 1}"]`)
    t.match(await sources.getAttribute('data-source'), /log|archive/, 'what was missed came from the log')
    t.same((await bob.texts()).slice(-4), ['one', 'two', 'three', 'while unplugged'])
  })

  await t.test('what is written offline outlives the page, and arrives once', async t => {
    await bob.page.getByTestId('plug').click()
    await bob.connection('offline')
    await bob.say('before the reload')
    await bob.page.locator('[data-testid=message][data-state=sending]').waitFor()
    await bob.page.reload() // a new page has its plug in
    await bob.connection('live')
    await ada.message('before the reload').waitFor()
    await bob.message('before the reload').waitFor()
    await bob.page.locator('[data-testid=message][data-state]').waitFor({ state: 'detached' })
    t.equal(await bob.message('before the reload').count(), 1)
    t.equal(await ada.message('before the reload').count(), 1)
  })

  await t.test('a reaction, a reply, an edit and a delete reach the other', async t => {
    await ada.say('to be edited')
    const mine = ada.message('to be edited')
    await mine.hover()
    await mine.getByRole('button', { name: 'Edit' }).click()
    await ada.say('edited text')
    await bob.message('edited text').filter({ hasText: '(edited)' }).waitFor()

    await bob.message('edited text').hover()
    await bob.page.getByRole('button', { name: 'React with 👍' }).click()
    await ada.page.getByRole('button', { name: '👍 1' }).waitFor()
    await bob.page.getByRole('button', { name: 'Reply', exact: true }).click()
    await bob.say('an answer')
    await ada.message('an answer').getByText('edited text').waitFor()

    await ada.message('edited text').first().hover()
    await ada.message('edited text').first().getByRole('button', { name: 'More' }).click()
    await ada.page.getByRole('menuitem', { name: 'Delete' }).click()
    await bob.message('This message was deleted').waitFor()
    t.pass()
  })
})
