// Keeping order: the owner of a room gives roles, mutes, deletes, removes and bans; whoever it concerns sees it at once, and is offered only what
// their role allows.
import t from 'tap'
import { lacksBrowser, webWorld, type Person } from './browser.ts'

const REFUSED = /status of 40[134]|ERR_INTERNET_DISCONNECTED|WebSocket connection/

t.test('keeping order', { skip: lacksBrowser }, async t => {
  const world = await webWorld(t)
  const [ada, bob] = await Promise.all([world.person('ada', {}, REFUSED), world.person('bob', {}, REFUSED)])
  await create(ada, 'Workshop')
  await bob.page.getByRole('button', { name: 'New conversation' }).click()
  await bob.page.getByRole('menuitem', { name: 'Browse public rooms' }).click()
  await bob.page.getByRole('button', { name: 'Join Workshop' }).click()
  await bob.say('hello from bob')
  await ada.message('hello from bob').waitFor()
  await ada.page.getByRole('button', { name: 'Details' }).click()
  await ada.page.getByRole('tab', { name: 'Members' }).click()
  const bobsRow = ada.page.locator('[data-testid=member][data-user=bob]')
  const act = async (name: string): Promise<void> => {
    await bobsRow.getByRole('button', { name: 'What to do with bob' }).click()
    await ada.page.getByRole('menuitem', { name }).click()
  }

  await t.test('a member is offered nothing of it', async t => {
    await bob.page.getByRole('button', { name: 'Details' }).click()
    t.equal(await bob.page.getByRole('tab', { name: 'Order' }).count(), 0)
    t.equal(await bob.page.getByRole('button', { name: 'Room settings' }).count(), 0)
    await bob.page.getByRole('tab', { name: 'Members' }).click()
    await bob.page.locator('[data-testid=member]').nth(1).waitFor()
    t.equal(await bob.page.getByRole('button', { name: /^What to do with/ }).count(), 0)
  })

  await t.test('who is muted sees it at once, and writes again when it is lifted', async t => {
    await act('Mute…')
    await ada.page.getByLabel('Reason').fill('too loud')
    await ada.page.getByRole('button', { name: 'Mute', exact: true }).click()
    await bob.page.getByTestId('muted').filter({ hasText: 'too loud' }).waitFor()
    t.equal(await bob.page.getByTestId('composer').count(), 0)
    await bobsRow.filter({ hasText: 'muted' }).waitFor()
    await act('Unmute…')
    await ada.page.getByRole('button', { name: 'Unmute', exact: true }).click()
    await bob.page.getByTestId('composer').waitFor()
    await bob.say('quieter now')
    await ada.message('quieter now').waitFor()
  })

  await t.test('a role comes with what it allows, at once', async () => {
    await act('Change role…')
    await ada.page.getByRole('radio', { name: /^Moderator/ }).check()
    await ada.page.getByRole('button', { name: 'Give the role' }).click()
    await bobsRow.getByText('Moderator').waitFor()
    await bob.page.getByRole('tab', { name: 'Order' }).waitFor()
    await bob.page.getByRole('tab', { name: 'Invites' }).waitFor()
  })

  await t.test('somebody else’s message is deleted after a question', async () => {
    await ada.message('hello from bob').hover()
    await ada.message('hello from bob').getByRole('button', { name: 'More' }).click()
    await ada.page.getByRole('menuitem', { name: 'Delete' }).click()
    await ada.page.getByRole('button', { name: 'Delete', exact: true }).click()
    await bob.message('This message was deleted').waitFor()
  })

  await t.test('who is removed is told, and the room leaves their list', async () => {
    await act('Remove…')
    await ada.page.getByLabel('Reason').fill('a break')
    await ada.page.getByRole('button', { name: 'Remove', exact: true }).click()
    await bob.page.getByRole('link', { name: /^Workshop/ }).waitFor({ state: 'detached' })
    await bob.page.getByText(/You (were removed from|are not in) Workshop/).first().waitFor()
    await bobsRow.waitFor({ state: 'detached' })
    await bob.page.getByRole('button', { name: 'Join', exact: true }).click() // of a public room one may come back
    await bob.page.getByTestId('composer').waitFor()
    await bobsRow.waitFor()
  })

  await t.test('who is banned is out until it is lifted, and all of it is on record', async t => {
    await act('Ban…')
    await ada.page.getByRole('button', { name: 'Ban', exact: true }).click()
    await bob.page.getByText('You were banned from Workshop').first().waitFor()
    await bob.page.getByRole('link', { name: /^Workshop/ }).waitFor({ state: 'detached' })
    await ada.page.getByRole('tab', { name: 'Order' }).click()
    await ada.page.getByTestId('banned').filter({ hasText: 'bob' }).waitFor()
    for (const text of [/ada banned bob/, /ada removed bob/, /ada made bob moderator/, /ada deleted a message of bob/, /ada unmuted bob/, /ada muted bob/]) await ada.page.getByTestId('audited').filter({ hasText: text }).first().waitFor()
    await ada.page.getByRole('button', { name: 'Lift the ban of bob' }).click()
    await ada.page.getByRole('button', { name: 'Lift the ban', exact: true }).click()
    await ada.page.getByText('Nobody is banned.').waitFor()
    t.pass()
  })
})

async function create ({ page }: Person, name: string): Promise<void> {
  await page.getByRole('button', { name: 'New conversation' }).click()
  await page.getByRole('menuitem', { name: 'Create a room or group' }).click()
  await page.getByLabel('Name').fill(name)
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('heading', { name }).first().waitFor()
}
