// The life of the client's connection: the whole table, phase by input. A change of it is a change here.
import t from 'tap'
import fc from 'fast-check'
import { backOffMs, inputOfClose, MACHINE, type Input, type Phase } from '../../src/client/machine.ts'

const INPUTS: Input[] = ['open', 'token', 'no token', 'opened', 'welcome', 'silence', 'lost', 'expired', 'refused', 'timer', 'online', 'offline', 'close']

/** What is not here is ignored. */
const TABLE: Record<Phase, Partial<Record<Input, [to: Phase, action: string]>>> = {
  idle: {
    open: ['waiting for a token', 'get token'],
    close: ['stopped', 'stop'],
  },
  'waiting for a token': {
    token: ['connecting', 'open socket'],
    'no token': ['backing off', 'back off'],
    silence: ['backing off', 'back off'],
    refused: ['stopped', 'stop'],
    offline: ['offline', 'wait for the network'],
    close: ['stopped', 'stop'],
  },
  connecting: {
    opened: ['greeting', 'say hello'],
    silence: ['backing off', 'back off'],
    lost: ['backing off', 'back off'],
    expired: ['backing off', 'drop token and back off'],
    refused: ['stopped', 'stop'],
    offline: ['offline', 'wait for the network'],
    close: ['stopped', 'stop'],
  },
  greeting: {
    welcome: ['live', 'go live'],
    silence: ['backing off', 'back off'],
    lost: ['backing off', 'back off'],
    expired: ['backing off', 'drop token and back off'],
    refused: ['stopped', 'stop'],
    offline: ['offline', 'wait for the network'],
    close: ['stopped', 'stop'],
  },
  live: {
    silence: ['backing off', 'back off'],
    lost: ['backing off', 'back off'],
    expired: ['backing off', 'drop token and back off'],
    refused: ['stopped', 'stop'],
    online: ['live', 'probe'],
    offline: ['live', 'probe'],
    close: ['stopped', 'stop'],
  },
  'backing off': {
    online: ['waiting for a token', 'get token'],
    timer: ['waiting for a token', 'get token'],
    offline: ['offline', 'wait for the network'],
    close: ['stopped', 'stop'],
  },
  offline: {
    online: ['waiting for a token', 'get token'],
    timer: ['waiting for a token', 'get token'],
    close: ['stopped', 'stop'],
  },
  stopped: {},
}

t.test('every phase says something to every input', async t => {
  t.same(Object.keys(MACHINE), Object.keys(TABLE))
  for (const phase of Object.keys(TABLE) as Phase[]) {
    t.same(Object.keys(MACHINE[phase]).sort(), [...INPUTS].sort())
    for (const input of INPUTS) {
      const [to, action] = TABLE[phase][input] ?? [phase, 'ignore']
      t.same(MACHINE[phase][input], { to, action }, `${phase}: ${input}`)
    }
  }
})

t.test('whatever comes in whatever order: one socket at a time, hello before live, and what stopped stays so', async t => {
  const walk = (phase: Phase, isOpen: boolean, depth: number): void => {
    if (depth === 0) return
    for (const input of INPUTS) {
      const { to, action } = MACHINE[phase][input]
      if (phase === 'stopped' && (to !== 'stopped' || action !== 'ignore')) t.fail('it came back')
      if (action === 'open socket' && isOpen) t.fail(`a second socket in ${phase}`)
      if (action === 'say hello' && !isOpen) t.fail(`hello without a socket in ${phase}`)
      if (to === 'live' && phase !== 'live' && phase !== 'greeting') t.fail(`live without a greeting, from ${phase}`)
      const leaves = ['back off', 'drop token and back off', 'wait for the network', 'stop'].includes(action)
      walk(to, leaves ? false : isOpen || action === 'open socket', depth - 1)
    }
  }
  walk('idle', false, 5)
  t.pass('all walks of five inputs')
})

t.test('nothing but an application or a refusal is the end: from every other phase there is a way to live', async t => {
  for (const start of Object.keys(MACHINE) as Phase[]) {
    if (start === 'stopped') continue
    const reached = new Set<Phase>([start])
    for (const phase of reached) for (const input of INPUTS) reached.add(MACHINE[phase][input].to)
    t.ok(reached.has('live'), start)
  }
})

t.test('the range of a close code tells what to do', async t => {
  for (const [codes, input] of [[[1000, 1001, 1006, 1011, 4000, 4001, 4002, 4003, 4005, 4099, 4300], 'lost'], [[4100, 4101, 4199], 'expired'], [[4200, 4203, 4204, 4299], 'refused']] as const) {
    for (const code of codes) t.equal(inputOfClose(code), input, String(code))
  }
})

t.test('back-off has full jitter, doubles, is capped, and never comes before the server asked', async t => {
  const times = { baseMs: 1000, capMs: 30_000 }
  t.same([0, 1, 2, 4, 5, 60].map(attempt => backOffMs(attempt, () => 1, times)), [1000, 2000, 4000, 16_000, 30_000, 30_000])
  t.equal(backOffMs(5, () => 0, times), 0)
  t.equal(backOffMs(0, () => 0.5, times, 3000), 3500)
  t.equal(backOffMs(0, () => 0, times, 1e12), 300_000, 'a server that names years is not believed')
  fc.assert(fc.property(fc.nat({ max: 2000 }), fc.double({ min: 0, max: 1, noNaN: true }), fc.nat({ max: 300_000 }), (attempt, random, after) => {
    const ms = backOffMs(attempt, () => random, times, after)
    return ms >= after && ms <= after + times.capMs
  }))
})
