// The package: `millrace/client` as others get it. It stays small, needs nothing, and has types.
import t from 'tap'
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { bundle } from './bundle.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const ENTRY = `${root}src/client/client.ts`
const BYTES_MAX = 12 * 1024
const EXPORTS = ['LOBBY_ID', 'MillraceError', 'connect', 'indexedDbStore', 'isReset', 'localStorageStore', 'logIn', 'logOut', 'memoryStore', 'signUp']
const run = promisify(execFile)

t.test(`it is at most ${BYTES_MAX} bytes gzipped, as one file that imports nothing and works`, async t => {
  const text = bundle(ENTRY)
  const { length } = gzipSync(text, { level: 9 })
  t.comment(`${text.length} bytes, ${length} gzipped`)
  t.ok(length <= BYTES_MAX, `${length} bytes`)
  t.notMatch(text, /^import|\brequire\(|from ?'/m)
  const path = `${t.testdir()}/client.js`
  writeFileSync(path, text)
  const { connect, ...rest } = await import(pathToFileURL(path).href)
  t.same(['connect', ...Object.keys(rest)].sort(), [...EXPORTS].sort())
  const client = connect({ url: 'http://127.0.0.1:9', token: 'x' })
  const sent = client.room('lobby').send('hello')
  await client.close()
  await t.rejects(sent, { code: 'closed' })
})

t.test('it builds to plain modules, whose types a strict consumer can use', { timeout: 500_000 }, async t => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-client-')) // not within the repository, whose own package.json would be the nearer one
  t.teardown(() => { rmSync(dir, { recursive: true }) })
  mkdirSync(`${dir}/node_modules/millrace`, { recursive: true })
  copyFileSync(`${root}package.json`, `${dir}/node_modules/millrace/package.json`)
  writeFileSync(`${dir}/package.json`, '{"type":"module"}')
  writeFileSync(`${dir}/consumer.ts`, `
    import { connect, isReset, localStorageStore, type RoomEvent } from 'millrace/client'
    const client = connect({ url: 'https://chat.example', token: async () => 'x', store: localStorageStore('me') })
    client.on('state', state => { if (state.name === 'catching up') console.log(state.events.toFixed()) })
    const room = client.room('lobby')
    room.on('event', event => { const { seq }: RoomEvent = event; console.log(seq) })
    for await (const item of room.events({ after: room.position })) if (!isReset(item)) console.log(item.content?.length)
    // @ts-expect-error a room is no string
    export const wrong: string = room
  `)
  const tsc = `${root}node_modules/typescript/bin/tsc`
  await run(process.execPath, [tsc, '-p', `${root}src/client/tsconfig.json`, '--outDir', `${dir}/node_modules/millrace/dist/client`])
  await run(process.execPath, [tsc, '--ignoreConfig', '--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2023,dom', '--types', 'node', '--typeRoots', `${root}node_modules/@types`, `${dir}/consumer.ts`])
    .catch(error => { t.fail(error.stdout) })
  writeFileSync(`${dir}/consumer.mjs`, "console.log(JSON.stringify(Object.keys(await import('millrace/client'))))")
  const { stdout } = await run(process.execPath, [`${dir}/consumer.mjs`])
  t.same(JSON.parse(stdout).sort(), [...EXPORTS].sort())
})
