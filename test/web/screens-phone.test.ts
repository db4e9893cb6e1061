import t from 'tap'
import { lacksBrowser } from './browser.ts'
import { screens } from './screens.ts'

t.test('the screens on a phone', { skip: lacksBrowser, timeout: 600_000 }, async t => { await screens(t, { width: 390, height: 844 }) })
