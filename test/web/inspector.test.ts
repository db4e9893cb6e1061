// The inspector: the log as it came, and the plug. Pulled, others write on; put back, what was missed is seen to come: from the log, in order,
// each once, chained on.
import t from 'tap'
import { until } from '../until.ts'
import { lacksBrowser, webWorld } from './browser.ts'

const MISSED = 20

t.test('the inspector', { skip: lacksBrowser }, async t => {
  const world = await webWorld(t)
  const [ada, bob] = await Promise.all([world.person('ada'), world.person('bob')])
  await Promise.all([ada.open('Lobby'), bob.open('Lobby')])
  const { page } = bob
  const row = (seq: number) => page.locator(`[data-testid=log-row][data-seq="${seq}"]`)
  const position = async (): Promise<number> => Number.parseInt(await page.getByTestId('position').innerText(), 10)
  let at = 0

  await t.test('shows what comes as it comes: seq, type, who, and that it chains', async t => {
    await ada.say('before')
    await bob.message('before').waitFor()
    await page.getByRole('button', { name: 'Inspector' }).click()
    at = await position()
    await ada.say('live')
    await row(at + 1).waitFor()
    t.equal(await row(at + 1).getAttribute('data-source'), 'live')
    t.match(await row(at + 1).innerText(), /message\s+ada\s+[0-9a-f]{6} ✓\s+live/)
    t.equal(await position(), ++at)
  })

  await t.test('the plug is pulled: the position stands still while others write', async t => {
    await page.getByTestId('plug').click()
    await bob.connection('offline')
    t.equal(await page.getByTestId('connection').first().innerText(), 'Unplugged')
    for (let i = 1; i <= MISSED; i++) await ada.say(`missed ${i}`)
    await ada.message(`missed ${MISSED}`).waitFor()
    t.equal(await position(), at)
    t.equal(await row(at + 1).count(), 0)
  })

  await t.test('put back, all of it comes: from the log, in order, once, each onto the one before', async t => {
    await page.getByTestId('plug').click()
    await bob.connection('live')
    await until(async () => await position() === at + MISSED, { what: 'the position to be at the head' })
    t.match(await page.getByTestId('catch-up').innerText(), new RegExp(`^${at} → ${at + MISSED} from the log$`))
    t.same((await bob.texts()).slice(-MISSED), Array.from({ length: MISSED }, (_, i) => `missed ${i + 1}`))
    const shown = page.getByTestId('log-row')
    await until(async () => (await shown.last().getAttribute('data-seq')) === String(at + MISSED), { what: 'the newest to be in sight' })
    await until(async () => (await shown.last().innerText()).includes('✓'), { what: 'its chain to be checked' })
    const rows = await shown.evaluateAll(rows => rows.map(row => ({ seq: Number(row.dataset.seq), source: row.dataset.source, text: row.innerText })))
    const missed = rows.filter(({ seq }) => seq > at)
    t.ok(missed.length > 5)
    t.ok(missed.every(({ seq, source, text }, i) => source === 'log' && text.includes('✓') && (i === 0 || seq === missed[i - 1]!.seq + 1)), 'dense, chained, from the log')
  })

  await t.test('it is closed by the key that closes things, and the focus is where it was', async t => {
    await page.getByTestId('plug').focus()
    await page.keyboard.press('Escape')
    await page.getByTestId('inspector').waitFor({ state: 'detached' })
    t.equal(await page.evaluate('document.activeElement.getAttribute("aria-label")'), 'Inspector')
  })
})
