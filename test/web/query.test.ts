// Completing a search: which piece the caret stands in, what is put in its place, and what is asked of the server, which understands all that is offered.
import t from 'tap'
import { parseSearch } from '../../src/domain/search.ts'
import { askedOf, daysFrom, operatorsLike, OPERATORS, replaced, termOf, tokenAt } from '../../web/src/search/query.ts'

t.test('the piece in which the caret stands, with its operator', async t => {
  t.match(tokenAt('water from:ad', 13), { from: 6, to: 13, operator: 'from', value: 'ad' })
  t.match(tokenAt('water from:ad', 3), { from: 0, to: 5, operator: undefined, text: 'water' })
  t.match(tokenAt('in:"Water wor', 13), { operator: 'in', value: 'Water wor' })
  t.match(tokenAt('IN:"Water works" x', 8), { operator: 'in', value: 'Water works' })
  t.match(tokenAt('a  b', 2), { from: 2, to: 2, text: '' })
})

t.test('a completion takes the place of the piece, and the caret stands behind it', async t => {
  t.same(replaced('fr', tokenAt('fr', 2), 'from:'), { text: 'from:', caret: 5 })
  t.same(replaced('from:a word', tokenAt('from:a word', 6), 'from:ada'), { text: 'from:ada word', caret: 9 })
})

t.test('operators without a value are not asked yet, and a space at the end says that a word is whole', async t => {
  const cases: Array<[string, string]> = [['water from:', 'water '], ['from: water', 'water'], ['from:ada', 'from:ada'], ['in:"', ''], ['  ', ''], ['wat ', 'wat '], ['wat  ', 'wat ']]
  for (const [text, asked] of cases) t.equal(askedOf(text), asked, JSON.stringify(text))
})

t.test('the server understands every operator, and every value that is offered', async t => {
  const values = { from: 'ada lovelace', in: 'Water works', has: 'link', before: daysFrom(Date.now())[0]!.day, after: daysFrom(Date.now())[4]!.day }
  for (const operator of OPERATORS) {
    const search = parseSearch(`word ${termOf(operator, values[operator])}`)
    t.type(search, 'object', `${operator}: ${JSON.stringify(search)}`)
    t.same(operatorsLike(operator.slice(0, 2)), [operator])
  }
  t.same(parseSearch(`word ${termOf('in', 'Water "works"')}`), parseSearch('word in:"Water works"'))
})
