// One browser, two tabs, two people: the first has the browser's account, the second one of its tab; both outlive a reload, each can be ended.
import t from 'tap'
import { lacksBrowser, PASSWORD, webWorld } from './browser.ts'

t.test('two people in two tabs of one browser', { skip: lacksBrowser }, async t => {
  const world = await webWorld(t)
  const ada = await world.person('ada')
  const page = world.watch(await ada.context.newPage(), /^$/)
  await page.goto(`${world.url}/?another`)
  await page.getByRole('tab', { name: 'Guest' }).click()
  await page.getByText('signed in as ada already').waitFor()
  await page.getByLabel('User name').fill('gus')
  await page.getByRole('button', { name: 'Come in' }).click()
  const gus = await world.personIn(page, ada.context, 'gus')

  await t.test('they write to each other, with a badge until it is read', async t => {
    await ada.page.getByRole('button', { name: 'New conversation' }).click()
    await ada.page.getByRole('menuitem', { name: 'Write to somebody' }).click()
    await ada.page.getByLabel('User name').fill('gus')
    await ada.page.getByRole('button', { name: /gus/ }).click()
    await ada.say('hello gus')
    await gus.page.getByRole('link', { name: 'ada, 1 unread' }).click()
    await gus.message('hello gus').waitFor()
    await gus.page.getByRole('link', { name: 'ada', exact: true }).waitFor()
    t.equal(await gus.page.getByTestId('unread').count(), 0)
  })

  await t.test('a reload finds each who they were, and what was said', async t => {
    for (const person of [ada, gus]) {
      await person.page.reload()
      await person.connection('live')
      await person.message('hello gus').waitFor()
      t.equal(await person.page.getByText('A chat that never loses its place').count(), 0)
    }
    await gus.say('still me')
    await ada.message('still me').waitFor()
    t.equal(await ada.message('still me').locator('.mr-author').innerText(), 'gus')
  })

  await t.test('a session is listed, and ended from another: its page is at the door then', async t => {
    const other = await world.open()
    await other.page.goto(world.url)
    await other.page.getByRole('tab', { name: 'Log in' }).click()
    await other.page.getByLabel('User name').fill('ada')
    await other.page.getByLabel('Password').fill(PASSWORD)
    await other.page.getByRole('button', { name: 'Log in' }).click()
    const second = await world.personIn(other.page, other.context, 'ada')
    await second.page.getByRole('button', { name: 'Your account' }).click()
    await second.page.getByRole('menuitem', { name: 'Settings' }).click()
    await second.page.getByRole('tab', { name: 'Sessions' }).click()
    await second.page.getByTestId('session').nth(1).waitFor()
    t.equal(await second.page.getByText('This one').count(), 1)
    await second.page.getByRole('button', { name: 'End' }).click() // the first page's
    await ada.page.getByText('A chat that never loses its place').waitFor()
    await second.page.getByRole('button', { name: 'Log out' }).click()
    await second.page.getByText('A chat that never loses its place').waitFor()
    t.equal(await second.page.evaluate('Object.keys(localStorage).filter(key => key.startsWith("millrace-account")).length'), 0)
  })

  await t.test('logging out leaves the other tab alone', async () => {
    await ada.page.getByRole('tab', { name: 'Log in' }).click()
    await ada.page.getByLabel('User name').fill('ada')
    await ada.page.getByLabel('Password').fill(PASSWORD)
    await ada.page.getByRole('button', { name: 'Log in' }).click()
    const back = await world.personIn(ada.page, ada.context, 'ada')
    await gus.page.getByRole('button', { name: 'Your account' }).click()
    await gus.page.getByRole('menuitem', { name: 'Log out' }).click()
    await gus.page.getByText('A chat that never loses its place').waitFor()
    await back.page.reload()
    await back.connection('live')
  })
})
