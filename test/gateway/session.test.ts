// The life of a connection: the whole table, phase by input. A change of it is a change here.
import t from 'tap'
import { SESSION, type Input, type Phase } from '../../src/gateway/session.ts'

const INPUTS: Input[] = ['hello', 'frame', 'bad frame', 'token good', 'token bad', 'end', 'closed']

const TABLE: Record<Phase, Record<Input, [to: Phase, action: string]>> = {
  greeting: {
    hello: ['greeting', 'check token'],
    frame: ['greeting', 'refuse'],
    'bad frame': ['greeting', 'answer error'],
    'token good': ['open', 'welcome'],
    'token bad': ['ending', 'say bye'],
    end: ['ending', 'say bye'],
    closed: ['ended', 'clean up'],
  },
  open: {
    hello: ['open', 'check token'],
    frame: ['open', 'serve'],
    'bad frame': ['open', 'answer error'],
    'token good': ['open', 'welcome'],
    'token bad': ['ending', 'say bye'],
    end: ['ending', 'say bye'],
    closed: ['ended', 'clean up'],
  },
  ending: {
    hello: ['ending', 'ignore'],
    frame: ['ending', 'ignore'],
    'bad frame': ['ending', 'ignore'],
    'token good': ['ending', 'ignore'],
    'token bad': ['ending', 'ignore'],
    end: ['ending', 'ignore'],
    closed: ['ended', 'clean up'],
  },
  ended: {
    hello: ['ended', 'ignore'],
    frame: ['ended', 'ignore'],
    'bad frame': ['ended', 'ignore'],
    'token good': ['ended', 'ignore'],
    'token bad': ['ended', 'ignore'],
    end: ['ended', 'ignore'],
    closed: ['ended', 'ignore'],
  },
}

t.test('every phase says something to every input', async t => {
  t.same(Object.keys(SESSION), Object.keys(TABLE))
  for (const phase of Object.keys(TABLE) as Phase[]) {
    t.same(Object.keys(SESSION[phase]), INPUTS)
    for (const input of INPUTS) {
      const [to, action] = TABLE[phase][input]
      t.same(SESSION[phase][input], { to, action }, `${phase}: ${input}`)
    }
  }
})

t.test('whatever comes in whatever order, bye is said once at most, cleaning up is done once, and what ended stays ended', async t => {
  const walk = (phase: Phase, byes: number, cleanings: number, depth: number): void => {
    if (byes > 1 || cleanings > 1 || (phase === 'ended' && cleanings !== 1)) t.fail(`${phase} after ${byes} byes and ${cleanings} cleanings`)
    if (depth === 0) return
    for (const input of INPUTS) {
      const { to, action } = SESSION[phase][input]
      if (phase === 'ended' && to !== 'ended') t.fail('it came back')
      if (action === 'serve' && phase !== 'open') t.fail(`served in ${phase}`)
      walk(to, byes + Number(action === 'say bye'), cleanings + Number(action === 'clean up'), depth - 1)
    }
  }
  walk('greeting', 0, 0, 5)
  t.pass('all walks of five inputs')
})
