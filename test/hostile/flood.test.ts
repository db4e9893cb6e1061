// One client floods, with whatever it can send; the others measure how long they wait. Limits are those of production.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { millrace } from '../e2e/world.ts'
import { until } from '../until.ts'
import { attacks, bystander, MB, rssOf, untilConnections } from './attack.ts'

const FLOODER = fileURLToPath(new URL('flooder.ts', import.meta.url))
const FLOOD_MS = 1000

const world = await millrace(t, { gateways: 1, projectors: 0, env: { RATE_LIMITS: 'on' } })
const victim = await bystander(world)
const { access_token: token } = await world.signup()
const room = await world.room(token)
const url = world.urlOf(0)
const attack = attacks(t, world, victim)

/** Milliseconds that others wait for a pong, and for their message to come back, while one floods. */
async function latencies (forMs: number): Promise<number[]> {
  const until = performance.now() + forMs
  const took: number[] = []
  for (let i = 0; performance.now() < until; i++) {
    const from = performance.now()
    if (i % 2 === 0) await victim.client.request({ type: 'ping' })
    else {
      const { seq } = await victim.client.message(victim.room, 'on time?')
      await victim.client.next(frame => frame.seq === seq && frame.type === 'message')
    }
    took.push(performance.now() - from)
    await sleep(15)
  }
  return took.sort((a, b) => a - b)
}

for (const kind of ['pings', 'control pings', 'large frames', 'bad frames', 'messages', 'subscriptions', 'requests', 'log-ins']) {
  await attack(`a flood of ${kind} from one client does not slow the others down`, async (t: Test) => {
    const { access_token: theirs } = await world.signup()
    const before = rssOf(world.gateways[0]!)
    const flooder = spawn(process.execPath, [FLOODER, url, theirs, room, kind], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.teardown(() => { flooder.kill('SIGKILL') })
    let said = ''
    flooder.stdout.on('data', data => { said += String(data) })
    await until(() => said.includes('flooding'))
    const took = await latencies(FLOOD_MS)
    const exited = once(flooder, 'exit')
    flooder.kill('SIGTERM')
    await exited
    const median = took[took.length >> 1]!
    t.comment(`median ${median.toFixed(1)} ms, worst ${took.at(-1)!.toFixed(0)} ms of ${took.length}, while it did ${said.split('\n')[1]}`)
    t.ok(took.length > 2 && median < 1_000, `median ${median.toFixed(1)} ms`)
    await untilConnections(world, 1)
    const grown = rssOf(world.gateways[0]!) - before
    t.ok(grown < 250 * MB, `${Math.round(grown / MB)} MB more`)
  })
}

await attack('nothing secret was written, and nothing was an error', async t => {
  const output = world.gateways[0]!.output()
  for (const secret of [token, victim.token, 'a wrong password', 'on time?']) t.notOk(output.includes(secret))
  t.notMatch(output, /"level":"(?:error|fatal)"/)
})
