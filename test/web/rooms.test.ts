// Rooms: made, changed, joined by a link that was made for it, by a password, left and deleted; and messages that were refused outlive the page.
import t from 'tap'
import { http } from '../client.ts'
import { lacksBrowser, PASSWORD, webWorld, type Person } from './browser.ts'

const REFUSED = /status of 4\d\d|ERR_INTERNET_DISCONNECTED|WebSocket connection/

t.test('rooms', { skip: lacksBrowser }, async t => {
  const world = await webWorld(t)
  const [ada, bob] = await Promise.all([world.person('ada', {}, REFUSED), world.person('bob', {}, REFUSED)])

  await t.test('an invite link lets somebody into a private room', async t => {
    await create(ada, 'Attic', 'Private room')
    await ada.say('you found it')
    await ada.page.getByRole('button', { name: 'Details' }).click()
    await ada.page.getByRole('tab', { name: 'Invites' }).click()
    await ada.page.getByRole('button', { name: 'Make an invite link' }).click()
    const link = await ada.page.getByTestId('invite-link').inputValue()
    t.match(link, /#\/invite\/[\w-]+\/[\w-]+$/)
    await bob.page.goto(link)
    await bob.page.getByText('You are invited').waitFor()
    await bob.page.getByRole('button', { name: 'Join', exact: true }).click()
    await bob.message('you found it').waitFor()
    await ada.page.getByRole('tab', { name: 'Members' }).click()
    await ada.page.locator('[data-testid=member][data-user=bob]').waitFor()
  })

  await t.test('a link that was revoked lets nobody in', async () => {
    await ada.page.getByRole('tab', { name: 'Invites' }).click()
    await ada.page.getByTestId('invite').getByRole('button', { name: 'Revoke this link' }).click()
    await ada.page.getByRole('button', { name: 'Revoke', exact: true }).click()
    await ada.page.getByText('There are none.').waitFor()
  })

  await t.test('its owner says how long messages are kept, and everybody can see it; nobody else can change it', async t => {
    await ada.page.getByRole('tab', { name: 'About' }).click()
    await ada.page.getByRole('button', { name: 'Room settings' }).click()
    await ada.page.getByLabel('Messages are kept').click()
    await ada.page.getByRole('option', { name: '30 days' }).click()
    await ada.page.getByText('What is older is erased for good').waitFor()
    await ada.page.getByRole('button', { name: 'Save' }).click()
    await bob.page.getByRole('button', { name: 'Details' }).click()
    for (const { page } of [ada, bob]) await page.locator('dt:text-is("Messages are kept") + dd').filter({ hasText: '30 days' }).waitFor()
    const roomId = /room\/([\w-]+)/.exec(bob.page.url())![1]!
    const api = http(world.url)
    const owner = (await api.login('ada', PASSWORD)).access_token
    t.equal((await api.get(`/rooms/${roomId}`, owner)).body.retention_days, 30)
    await api.call('PUT', `/rooms/${roomId}/members/${(await api.login('bob', PASSWORD)).user.id}`, { token: owner, body: { role: 'admin' } })
    await bob.page.getByRole('button', { name: 'Room settings' }).click()
    await bob.page.getByLabel('Slow mode').waitFor()
    t.equal(await bob.page.getByLabel('Messages are kept').count(), 0, 'an admin changes how it is written, not how long it is kept')
    await bob.page.keyboard.press('Escape')
    await ada.page.getByRole('button', { name: 'Room settings' }).click()
    await ada.page.getByLabel('Messages are kept').click()
    await ada.page.getByRole('option', { name: 'As long as in all rooms' }).click()
    await ada.page.getByRole('button', { name: 'Save' }).click()
    await ada.page.locator('dt:text-is("Messages are kept")').waitFor({ state: 'detached' })
    t.equal((await api.get(`/rooms/${roomId}`, owner)).body.retention_days, undefined)
    await bob.page.getByRole('button', { name: 'Close the details' }).click()
  })

  await t.test('settings reach the others at once', async () => {
    await ada.page.getByRole('tab', { name: 'About' }).click()
    await ada.page.getByRole('button', { name: 'Room settings' }).click()
    await ada.page.getByLabel('Name').fill('Loft')
    await ada.page.getByLabel('Topic').fill('under the roof')
    await ada.page.getByRole('button', { name: 'Save' }).click()
    await bob.page.getByRole('heading', { name: 'Loft' }).first().waitFor()
    await bob.page.getByText('under the roof').first().waitFor()
    await ada.page.getByRole('button', { name: 'Room settings' }).click()
    await ada.page.getByLabel('Archived: it can only be read').check()
    await ada.page.getByRole('button', { name: 'Save' }).click()
    await bob.page.getByText('This room is archived').waitFor()
  })

  await t.test('who leaves has it in the list no more', async t => {
    await bob.page.getByRole('button', { name: 'Details' }).click()
    await bob.page.getByRole('button', { name: 'Leave', exact: true }).click()
    await bob.page.getByRole('alertdialog').getByRole('button', { name: 'Leave' }).click()
    await bob.page.getByRole('link', { name: /^Loft/ }).waitFor({ state: 'detached' })
    t.equal(await bob.page.getByText(/You (were removed|are not in)/).count(), 0, 'who leaves knows')
  })

  await t.test('a room with a password lets in who knows it', async () => {
    await create(ada, 'Vault', 'Room with a password', 'open sesame')
    await bob.page.getByRole('button', { name: 'New conversation' }).click()
    await bob.page.getByRole('menuitem', { name: 'Browse public rooms' }).click()
    const join = bob.page.getByRole('button', { name: 'Join Vault' })
    await join.click()
    await bob.page.getByLabel('Password of the room').fill('wrong')
    await join.click()
    await bob.page.getByText(/not the password/).waitFor()
    await bob.page.getByLabel('Password of the room').fill('open sesame')
    await join.click()
    await bob.page.getByTestId('composer').waitFor()
  })

  await t.test('a message that was refused is there after a reload, and can be sent again', async t => {
    await ada.page.getByRole('button', { name: 'Room settings' }).click()
    await ada.page.getByLabel('Archived: it can only be read').check()
    await bob.context.setOffline(true)
    await bob.connection('offline')
    await bob.say('too late')
    await ada.page.getByRole('button', { name: 'Save' }).click()
    await ada.page.getByText('This room is archived').waitFor()
    await bob.context.setOffline(false)
    const failed = bob.page.locator('[data-testid=message][data-state=failed]')
    await failed.waitFor()
    await bob.page.reload()
    await failed.filter({ hasText: 'too late' }).waitFor()
    await ada.page.getByRole('button', { name: 'Room settings' }).click()
    await ada.page.getByLabel('Archived: it can only be read').uncheck()
    await ada.page.getByRole('button', { name: 'Save' }).click()
    await bob.page.getByTestId('composer').waitFor()
    await failed.getByRole('button', { name: 'Try again' }).click()
    await ada.message('too late').waitFor()
    t.equal(await ada.message('too late').count(), 1)
  })

  await t.test('a group takes more people; a room that is deleted is gone for all', async t => {
    await create(ada, 'Trio', 'Group')
    await ada.page.getByRole('tab', { name: 'Members' }).click()
    await ada.page.getByRole('button', { name: 'Add', exact: true }).click()
    await ada.page.getByLabel('User name').fill('bob')
    await ada.page.getByLabel('People').getByText('@bob').click()
    await ada.page.getByText('is in', { exact: true }).waitFor()
    await ada.page.getByRole('button', { name: 'Done' }).click()
    await bob.page.getByRole('link', { name: /^Trio/ }).waitFor()
    await ada.page.getByRole('tab', { name: 'About' }).click()
    await ada.page.getByRole('button', { name: 'Delete the room' }).click()
    await ada.page.getByRole('alertdialog').getByRole('button', { name: 'Delete the room' }).click()
    await bob.page.getByRole('link', { name: /^Trio/ }).waitFor({ state: 'detached' })
    t.pass()
  })
})

async function create ({ page }: Person, name: string, kind: string, password?: string): Promise<void> {
  await page.getByRole('button', { name: 'New conversation' }).click()
  await page.getByRole('menuitem', { name: 'Create a room or group' }).click()
  await page.getByLabel('Kind').click()
  await page.getByRole('option', { name: kind }).click()
  await page.getByLabel('Name', { exact: false }).first().fill(name)
  if (password !== undefined) await page.getByLabel('Password of the room').fill(password)
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('heading', { name }).first().waitFor()
}
