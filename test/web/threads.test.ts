// Threads: begun at a message, answered beside it, live for both, counted at the message; in the room each answer is one line that leads there.
import t from 'tap'
import { until } from '../until.ts'
import { lacksBrowser, webWorld, type Person } from './browser.ts'

t.test('threads', { skip: lacksBrowser }, async t => {
  const world = await webWorld(t)
  const [ada, bob] = await Promise.all([world.person('ada'), world.person('bob')])
  await Promise.all([ada.open('Lobby'), bob.open('Lobby')])
  const thread = ({ page }: Person) => page.getByTestId('thread')
  const inThread = (person: Person, text: string | RegExp) => thread(person).getByTestId('message').filter({ hasText: text })
  const answer = async ({ page }: Person, text: string): Promise<void> => {
    await page.getByTestId('thread-composer').fill(text)
    await page.getByTestId('thread-composer').press('Enter')
  }
  const summary = ({ page }: Person) => page.getByTestId('messages').getByTestId('thread-summary')

  await t.test('one is begun from a message, and answered there', async t => {
    await ada.say('shall we?')
    await bob.message('shall we?').hover()
    await bob.message('shall we?').getByRole('button', { name: 'Reply in a thread' }).click()
    await thread(bob).getByText('No replies yet').waitFor()
    await inThread(bob, 'shall we?').waitFor()
    t.equal(await bob.page.evaluate('document.activeElement.dataset.testid'), 'thread-composer', 'one can write at once')
    await answer(bob, 'we shall')
    await inThread(bob, 'we shall').waitFor()
    await thread(bob).getByText('1 reply').waitFor()
  })

  await t.test('the message counts its answers, and each is a line in the room', async t => {
    await summary(ada).getByText('1 reply').waitFor()
    const line = ada.page.getByTestId('messages').locator('[data-testid=message][data-thread]')
    await line.filter({ hasText: 'In the thread of “shall we?”' }).filter({ hasText: 'we shall' }).waitFor()
    await line.getByRole('button').click()
    await inThread(ada, 'we shall').waitFor()
    t.match(await inThread(ada, 'we shall').getAttribute('class'), 'mr-target', 'it is opened at that answer')
  })

  await t.test('both see it grow, with reactions, edits and deletes', async () => {
    await answer(ada, 'when?')
    await inThread(bob, 'when?').waitFor()
    await answer(bob, 'tomorow')
    await inThread(ada, 'tomorow').hover()
    await inThread(ada, 'tomorow').getByRole('button', { name: 'React with 👍' }).click()
    await inThread(bob, 'tomorow').getByRole('button', { name: '👍 1' }).waitFor()
    await bob.page.getByTestId('thread-composer').press('ArrowUp')
    await until(async () => await bob.page.getByTestId('thread-composer').inputValue() === 'tomorow', { what: '↑ to edit the last answer' })
    await answer(bob, 'tomorrow')
    await inThread(ada, 'tomorrow').filter({ hasText: '(edited)' }).waitFor()
    await summary(bob).getByText('3 replies').waitFor()
    await inThread(ada, 'when?').hover()
    await inThread(ada, 'when?').getByRole('button', { name: 'More' }).click()
    await ada.page.getByRole('menuitem', { name: 'Delete' }).click()
    await summary(bob).getByText('2 replies').waitFor()
  })

  await t.test('what is written without a connection waits, and arrives once', async t => {
    await bob.context.setOffline(true)
    await bob.connection('offline')
    await answer(bob, 'in the dark')
    await thread(bob).locator('[data-testid=message][data-state=sending]').waitFor()
    await bob.context.setOffline(false)
    await bob.connection('live')
    await inThread(ada, 'in the dark').waitFor()
    await thread(bob).locator('[data-testid=message][data-state]').waitFor({ state: 'detached' })
    t.equal(await inThread(bob, 'in the dark').count(), 1)
    t.equal(await inThread(ada, 'in the dark').count(), 1)
  })

  await t.test('a draft is the thread’s own, and stays over a reload with the thread', async t => {
    await bob.page.getByTestId('thread-composer').fill('not yet')
    t.equal(await bob.page.getByTestId('composer').inputValue(), '')
    await bob.page.reload()
    await inThread(bob, 'in the dark').waitFor()
    t.equal(await bob.page.getByTestId('thread-composer').inputValue(), 'not yet')
    await bob.page.getByTestId('thread-composer').fill('')
  })

  await t.test('on a phone it takes the screen, and the way back of the browser closes it', async t => {
    await bob.page.getByRole('button', { name: 'Close the thread' }).click()
    await bob.page.setViewportSize({ width: 390, height: 844 })
    await summary(bob).click()
    await inThread(bob, 'in the dark').waitFor()
    t.equal(Math.round((await thread(bob).boundingBox())?.width ?? 0), 390)
    await answer(bob, 'from the train')
    await inThread(ada, 'from the train').waitFor()
    await bob.page.goBack()
    await thread(bob).waitFor({ state: 'detached' })
    await bob.page.getByTestId('composer').waitFor()
  })

  await t.test('closed, the focus is where it was', async t => {
    await ada.page.getByRole('button', { name: 'Close the thread' }).click()
    await thread(ada).waitFor({ state: 'detached' })
    await summary(ada).focus()
    await ada.page.keyboard.press('Enter')
    await inThread(ada, 'from the train').waitFor()
    await ada.page.getByRole('button', { name: 'Close the thread' }).click()
    await until(async () => await ada.page.evaluate('document.activeElement.dataset.testid') === 'thread-summary', { what: 'the focus to be back' })
    t.pass()
  })
})
