// The import as people run it: the command as a process of its own, against a running Millrace.
import t, { type Test } from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseIrc } from '../../src/cli/irc.ts'
import { millrace } from '../e2e/world.ts'
import { until } from '../until.ts'

const MILLRACE = fileURLToPath(new URL('../../bin/millrace.js', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'millrace-import-'))

interface Run { code: number | null, out: string, err: string }

function run (world: { env: Record<string, string> }, args: string[], onText: (text: string, kill: () => void) => void = () => {}): Promise<Run> {
  const child = spawn(process.execPath, [MILLRACE, 'import', ...args], { env: { PATH: process.env.PATH, ...world.env } })
  const result: Run = { code: null, out: '', err: '' }
  child.stdout.on('data', data => { result.out += String(data) })
  child.stderr.on('data', data => {
    result.err += String(data)
    onText(result.err, () => { child.kill('SIGKILL') })
  })
  return once(child, 'close').then(([code]) => ({ ...result, code: code as number | null }))
}

/** A log of a busy day: people come, speak, rename themselves and go. */
function busyDay (name: string, lines: number): string {
  const nicks = Array.from({ length: 40 }, (_, i) => `nick${i}${'|`[]{}^_\\'[i % 9]}`)
  const text = Array.from({ length: lines }, (_, i) => {
    const nick = nicks[(i * 7) % nicks.length]!
    switch (i % 25) {
      case 3: return `=== ${nick} [~x@host${i}]  has joined #ubuntu`
      case 11: return `=== ${nick} [~x@host${i}]  has left #ubuntu`
      case 19: return `=== ${nick} is now known as ${nicks[(i * 7 + 1) % nicks.length]!}`
      default: return `[${String(Math.floor(i / lines * 24)).padStart(2, '0')}:${String(i % 60).padStart(2, '0')}] <${nick}> line ${i}: ${'so it goes. '.repeat(i % 7)}end`
    }
  }).join('\n')
  const path = join(directory, name)
  writeFileSync(path, `${text}\n`)
  return path
}

/** The messages of a room, as its history has them, against those of the file. */
async function isWhatTheFileSays (t: Test, world: Awaited<ReturnType<typeof millrace>>, room: string, paths: Array<[path: string, file: string]>): Promise<void> {
  const { readFileSync } = await import('node:fs')
  const wanted = paths.flatMap(([path, file]) => parseIrc(readFileSync(path, 'utf8'), { file, date: '2008-02-14' }).actions.filter(({ kind }) => kind === 'message').map(({ at, nick, content }) => [at, nick, content]))
  const { rows } = await world.store.query<{ timestamp: Date, username: string, content: string }>(`
    SELECT timestamp, username, content
      FROM messages
      JOIN users ON users.id = messages.user_id
     WHERE room_id = $1
     ORDER BY seq`, [room])
  t.same(rows.map(({ timestamp, username, content }) => [timestamp.toISOString(), username, content]), wanted)
}

const roomOf = (out: string): string => /into .+ \(([0-9a-f-]{36})\)/.exec(out)![1]!

t.test('a log is imported once, however often it is', async t => {
  const world = await millrace(t, { gateways: 1 })
  const path = busyDay('2008-02-14.busy.txt', 2000)
  const first = await run(world, ['irc', '--room', 'ubuntu', path])
  t.equal(first.code, 0, first.err)
  t.match(first.out, /^Imported 1 file into ubuntu/)
  t.match(first.err, /100|2,000/)
  const room = roomOf(first.out)
  world.rooms.add(room)
  await isWhatTheFileSays(t, world, room, [[path, '2008-02-14.busy.txt']])

  const again = await run(world, ['irc', '--room', 'ubuntu', path])
  t.match(again.out, /added 0 messages, 0 joins, 0 leaves/)
  t.equal(roomOf(again.out), room)

  const other = busyDay('2008-02-15.other.txt', 300)
  t.match((await run(world, ['irc', '--room', 'ubuntu', path, other])).out, /added 26\d messages/)
  t.match((await run(world, ['irc', '--room', 'ubuntu', other])).out, /added 0 messages, 0 joins, 0 leaves/, 'alone as well')
  t.match((await run(world, ['irc', '--room', room, other])).out, /added 0 messages/, 'a room may be named by its UUID')

  const { body } = await world.api(0).get('/rooms/public?query=ubuntu', (await world.signup()).access_token)
  t.match(body.items, [{ id: room, name: 'ubuntu', kind: 'public' }])
  t.same((await world.judge()).problems, [])
})

t.test('killed half-way, with everything else, and run again, it completes', async t => {
  const world = await millrace(t)
  const path = busyDay('2008-02-14.long.txt', 6000)
  const killed = await run(world, ['irc', '--room', 'ubuntu', path], (err, kill) => {
    if (!/\[====/.test(err)) return
    kill()
    for (const part of [...world.gateways, ...world.projectors, world.redisServer, world.postgres]) void part.kill()
  })
  t.equal(killed.code, null, 'it was killed')
  await Promise.all([...world.gateways, ...world.projectors, world.redisServer, world.postgres].map(async part => { await part.kill() }))
  await Promise.all([world.redisServer.restart(), world.postgres.restart()])
  await Promise.all([...world.gateways, ...world.projectors].map(async part => { await part.restart() }))
  await until(() => world.redis.status === 'ready')

  const again = await run(world, ['irc', '--room', 'ubuntu', path])
  t.equal(again.code, 0, again.err)
  const [, added] = /added (\d+) messages/.exec(again.out)!
  t.ok(Number(added) > 0 && Number(added) < 5280, `${added} messages were left to add`)
  const room = roomOf(again.out)
  world.rooms.add(room)
  await isWhatTheFileSays(t, world, room, [[path, '2008-02-14.long.txt']])
  const { problems, counted } = await world.judge()
  t.same(problems, [])
  t.equal(counted.messages, 5280)
})

t.test('an import goes on through the death of everything but itself', async t => {
  const world = await millrace(t)
  const path = busyDay('2008-02-14.stubborn.txt', 6000)
  let killing: Promise<void> | undefined
  const result = await run(world, ['irc', '--room', 'ubuntu', path], err => {
    if (!/\[====/.test(err)) return
    killing ??= (async () => {
      await Promise.all([...world.gateways, ...world.projectors, world.redisServer, world.postgres].map(async part => { await part.kill() }))
      await Promise.all([world.redisServer.restart(), world.postgres.restart()])
      await Promise.all([...world.gateways, ...world.projectors].map(async part => { await part.restart() }))
    })()
  })
  await killing
  t.equal(result.code, 0, result.err)
  t.match(result.out, /6000 lines read, 0 not/)
  const room = roomOf(result.out)
  world.rooms.add(room)
  await isWhatTheFileSays(t, world, room, [[path, '2008-02-14.stubborn.txt']])
  const again = await run(world, ['irc', '--room', 'ubuntu', path])
  t.match(again.out, /added 0 messages, 0 joins, 0 leaves/)
  t.same((await world.judge()).problems, [])
})

t.test('what cannot be imported is said in one line', async t => {
  const world = { env: { REDIS_URL: 'redis://127.0.0.1:1', DATABASE_URL: 'postgres://127.0.0.1:1/none' } }
  const undated = join(directory, 'undated.txt')
  writeFileSync(undated, '[10:00] <ada> hello\n')
  for (const [args, code, message] of [
    [['irc', '--room', 'x', undated], 1, /date/],
    [['irc', '--room', 'x', join(directory, 'no such file')], 1, /cannot be read/],
    [['irc', '--room', 'x', '--date', '2004-12-25', undated], 1, /cannot be used/],
    [['irc', '--room', 'x', '--date', 'yesterday', undated], 2, /--date must be a date/],
    [['irc', '--room', 'x', '--date', '2004-02-30', undated], 1, /date|calendar/],
    [['irc', undated], 2, /--room/],
    [['irc', '--room', 'x'], 2, /which files/],
    [['irc', '--room', 'x', undated, undated], 2, /Two files/],
    [['slack', '--room', 'x', undated], 2, /irc/],
    [['irc', '--rooom', 'x', undated], 2, /rooom/],
    [[], 2, /irc/],
  ] as const) {
    const result = await run(world, [...args])
    t.equal(result.code, code, result.err)
    t.match(result.err.split('\n')[0], message)
    t.notMatch(result.err, /at .*\.(ts|js):\d/, 'no stack trace')
  }
})
