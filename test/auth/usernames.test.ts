import t from 'tap'
import { importedName, problemOfUsername, usernameKey } from '../../src/auth/usernames.ts'

t.test('names that people have are taken', async t => {
  for (const name of ['a', 'Ann', 'Ann Lee', 'josé', '李雷', '👩‍👩‍👧', 'می‌خواهم', '|QuaD-', '`anthony', 'Анна', 'Ελένη', 'Анна 李雷', 'Ann 李雷', 'Анна 2', 'x'.repeat(64), '😀'.repeat(64)]) {
    t.equal(problemOfUsername(name), undefined, name)
  }
})

t.test('names that cannot be told from others, or not be seen, are refused', async t => {
  const cases: Array<[string, RegExp]> = [
    ['', /1 to 64/],
    ['x'.repeat(65), /1 to 64/],
    [' ann', /white space/],
    ['ann\u00a0', /white space/],
    ['an\u0000n', /control/],
    ['an\nn', /control/],
    ['an\u202en', /control/],
    ['an\u200bn', /control/],
    ['an\u00adn', /control/],
    ['an\ud800n', /control/],
    ['\ue000', /control/],
    ['\u3164', /seen/],
    ['\u115f\u1160', /seen/],
    ['\u2800\u2800', /seen/],
    ['\u0301', /seen/],
    ['\u200d\u200c', /seen/],
    ['Ann (Imported)', /must not end/],
    ['\u0430nn', /mix/], // a Cyrillic а
    ['p\u0430yp\u0430l', /mix/],
    ['\u0391nn', /mix/], // a Greek Α
    ['\u212bn\u03bf', /mix/], // Å as a sign
    ['\uff41\u0430', /mix/], // a wide a
    ['\u03bf\u043e', /mix/], // Greek and Cyrillic
  ]
  for (const [name, problem] of cases) t.match(problemOfUsername(name), problem, JSON.stringify(name))
})

t.test('a name is the same in any case, width, composition and spacing', async t => {
  for (const same of ['ann lee', 'ANN LEE', 'Ann  Lee', 'Ann\u00a0Lee', 'ａｎｎ lee', 'an\u200dn lee', 'ann lee\ufe0f']) t.equal(usernameKey(same), 'ann lee', JSON.stringify(same))
  t.equal(usernameKey('Jose\u0301'), usernameKey('josé'))
  t.not(usernameKey('ann'), usernameKey('аnn'), 'a Cyrillic letter is another letter')
})

t.test('every name has a key, and the key of a key is itself', async t => {
  for (const name of ['\u3164', '\u200b', '  ', 'İstanbul', 'ΟΔΟΣ', 'ſ', '|QuaD-', '\ufdfa']) {
    t.not(usernameKey(name), '')
    t.equal(usernameKey(usernameKey(name)), usernameKey(name), JSON.stringify(name))
  }
  t.ok(problemOfUsername(importedName('anybody')))
})
