// People: one's own profile as others see it, how one is, contacts and blocks, another password.
import t from 'tap'
import { until } from '../until.ts'
import { lacksBrowser, PASSWORD, webWorld } from './browser.ts'

const REFUSED = /status of 4\d\d|ERR_INTERNET_DISCONNECTED|WebSocket connection/

t.test('people', { skip: lacksBrowser }, async t => {
  const world = await webWorld(t)
  const [ada, bob] = await Promise.all([world.person('ada', {}, REFUSED), world.person('bob', {}, REFUSED)])
  const settings = async (tab: string): Promise<void> => {
    await ada.page.getByRole('button', { name: 'Your account' }).click()
    await ada.page.getByRole('menuitem', { name: 'Settings' }).click()
    await ada.page.getByRole('tab', { name: tab }).click()
  }

  await t.test('a profile is changed, and others see it', async () => {
    await settings('Profile')
    await ada.page.getByLabel('Display name').fill('Ada Lovelace')
    await ada.page.getByLabel('Status').fill('at the engine')
    await ada.page.getByRole('button', { name: 'Save' }).click()
    await ada.page.getByText('Your profile is saved').waitFor()
    await ada.page.getByRole('button', { name: 'Close', exact: true }).last().click()
    await Promise.all([ada.open('Lobby'), bob.open('Lobby')])
    await ada.say('good morning')
    await bob.message('good morning').getByRole('button', { name: 'Ada Lovelace' }).click()
    await bob.page.getByTestId('profile').getByText('at the engine').waitFor()
  })

  await t.test('how somebody is, is seen where their face is', async () => {
    const profile = bob.page.getByTestId('profile')
    await profile.getByText('· Online').waitFor()
    await ada.page.getByRole('button', { name: 'Your account' }).click()
    await ada.page.getByRole('button', { name: 'Do not disturb' }).click()
    await ada.page.keyboard.press('Escape')
    await until(async () => { // only contacts and small rooms are told; a profile asks
      await bob.page.getByRole('button', { name: 'Close', exact: true }).click()
      await bob.message('good morning').getByRole('button', { name: 'Ada Lovelace' }).click()
      return await profile.getByText('· Do not disturb').waitFor({ timeout: 2_000 }).then(() => true, () => false)
    }, { everyMs: 200, what: 'the status to be shown' })
  })

  await t.test('one keeps somebody as a contact, blocks them, and takes both back', async t => {
    const profile = bob.page.getByTestId('profile')
    await profile.getByRole('button', { name: 'Add contact' }).click()
    await profile.getByRole('button', { name: 'Remove contact' }).waitFor()
    await profile.getByRole('button', { name: 'Block', exact: true }).click()
    await profile.getByText('You have blocked Ada Lovelace').waitFor()
    await bob.page.getByRole('button', { name: 'Close', exact: true }).click()
    await bob.page.getByRole('button', { name: 'Your account' }).click()
    await bob.page.getByRole('menuitem', { name: 'Settings' }).click()
    await bob.page.getByRole('tab', { name: 'People' }).click()
    await bob.page.getByRole('button', { name: 'Remove Ada Lovelace from the contacts' }).click()
    await bob.page.getByRole('button', { name: 'Unblock Ada Lovelace' }).click()
    await bob.page.getByText('You have blocked nobody.').waitFor()
    await bob.page.getByText('You have no contacts.', { exact: false }).waitFor()
    await bob.page.getByRole('button', { name: 'Close', exact: true }).last().click()
    await bob.message('good morning').getByRole('button', { name: 'Ada Lovelace' }).click()
    await bob.page.getByTestId('profile').getByRole('button', { name: 'Message' }).click()
    await bob.page.getByRole('heading', { name: 'Ada Lovelace' }).waitFor()
    t.pass()
  })

  await t.test('another password needs the one before', async t => {
    await settings('Password')
    const fill = async (current: string): Promise<void> => {
      await ada.page.getByLabel('Current password').fill(current)
      await ada.page.getByLabel('New password', { exact: false }).first().fill('a better password')
      await ada.page.getByLabel('New password again').fill('a better password')
      await ada.page.getByRole('button', { name: 'Change the password' }).click()
    }
    await fill('not this one')
    await ada.page.getByText('That is not your current password.').waitFor()
    await fill(PASSWORD)
    await ada.page.getByText('The password is changed.').waitFor()
    t.pass()
  })
})
