import { readFileSync } from 'node:fs'
import t from 'tap'
import { ConfigError, ConfigSchema, loadConfig } from '../src/config.ts'

const schemas = ConfigSchema.properties as unknown as Record<string, { type?: string, default?: unknown, enum?: string[], minimum?: number, maximum?: number, pattern?: string, description: string }>
const names = Object.keys(schemas)

/** The message of the ConfigError that `env` gives; empty if it is taken. */
function complaint (env: Record<string, string>): string {
  try {
    loadConfig(env)
    return ''
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
}

t.test('.env.example has every variable once, with its description and its default, and nothing else', async t => {
  const example = readFileSync(new URL('../.env.example', import.meta.url), 'utf8')
  const lines = example.split('\n')
  const assignments = lines.flatMap((line, i) => {
    const [, name, value] = /^#([A-Z]\w*)=(.*)$/.exec(line) ?? []
    return name === undefined ? [] : [{ name, value, description: lines[i - 1] }]
  })
  const byName = (a: { name: string }, b: { name: string }): number => a.name < b.name ? -1 : 1
  t.same(assignments.sort(byName), names.map(name => ({
    name,
    value: String(schemas[name]?.default ?? ''),
    description: `# ${schemas[name]?.description}`,
  })).sort(byName))
  t.ok(lines.every(line => line === '' || line.startsWith('#')), 'as it stands it sets nothing')
  t.same(loadConfig(Object.fromEntries(assignments.map(({ name, value }) => [name, value]))), loadConfig({}), 'its values are the defaults')
})

t.test('what is not given has its default, or is undefined', async t => {
  const config = loadConfig({})
  for (const name of names) t.equal(config[name as keyof typeof config], schemas[name]?.default, name)
  t.match(config, { HOST: '127.0.0.1', PORT: 8080, GUESTS: 'on', REDIS_URL: undefined, JWT_PRIVATE_KEY: undefined })
})

t.test('every default is one that may be given', async t => {
  const defaults = Object.fromEntries(names.map(name => [name, String(schemas[name]?.default ?? '')]))
  t.same(loadConfig(defaults), loadConfig({}))
})

t.test('an empty text counts as not given', async t => {
  t.same(loadConfig(Object.fromEntries(names.map(name => [name, '']))), loadConfig({}))
})

t.test('what is given is taken, whole numbers as numbers', async t => {
  const given = { HOST: '0.0.0.0', PORT: '0', LOG_LEVEL: 'silent', GUESTS: 'off', REDIS_URL: 'rediss://user:pass@redis:6380/1', DATABASE_URL: 'postgresql://db/millrace', JWT_PRIVATE_KEY: '-----BEGIN PRIVATE KEY-----\nabc', METRICS_FROM: 'http://a,http://b' }
  t.match(loadConfig(given), { ...given, PORT: 0 })
  for (const name of names) {
    const { type, minimum, maximum, enum: words } = schemas[name]!
    for (const value of words ?? []) t.equal(loadConfig({ [name]: value })[name as 'HOST'], value)
    if (type === 'integer') for (const value of [minimum, maximum]) t.equal(loadConfig({ [name]: String(value) })[name as 'PORT'], value, `${name} from ${minimum} to ${maximum}`)
  }
})

t.test('a bad value is said in one line that names the variable, what it is and what it must be', async t => {
  const numbers = names.filter(name => schemas[name]?.type === 'integer')
  const words = names.filter(name => schemas[name]?.enum !== undefined)
  t.ok(numbers.length > 20)
  t.ok(words.length >= 3)
  const isGood = (name: string, value: string, mustBe: RegExp): void => {
    const line = complaint({ [name]: value })
    t.equal(line.split('\n').length, 1, line)
    t.ok(line.startsWith(`${name}=${JSON.stringify(value)} is not valid: `), line)
    t.match(line, mustBe)
  }
  for (const name of numbers) {
    const { minimum, maximum } = schemas[name]!
    for (const value of [String(minimum! - 1), String(maximum! + 1), 'many', '1.5', '1e3', '0x10', ' 1', '1 ', '١', '٣٠٠٠', '99999999999999999999', 'NaN', 'Infinity', 'true', '1\n2', '-']) {
      isGood(name, value, new RegExp(`it must be a whole number from ${minimum} to ${maximum}\\. [A-Z\`].*\\.$`))
    }
  }
  for (const name of words) for (const value of ['perhaps', 'ON', 'on ', '1', 'toString', 'on\noff']) isGood(name, value, new RegExp(`it must be one of ${schemas[name]?.enum?.join(', ')}\\. `))
})

t.test('URLs and keys are never shown, not even when they are wrong', async t => {
  const patterns = names.filter(name => schemas[name]?.pattern !== undefined)
  t.same(patterns, ['REDIS_URL', 'DATABASE_URL'])
  for (const name of patterns) {
    for (const value of ['user:secret@host', 'http://user:secret@host', ' redis://secret', 'secret', 'redis:/secret', 'postgres:secret', 'secret\nsecret']) {
      const line = complaint({ [name]: value })
      t.match(line, new RegExp(`^${name} is not valid: it must match .*URL; without it .*$`))
      t.notMatch(line, 'secret')
    }
  }
  // A key is only text here; what is wrong with it is found where it is read. Beside a bad variable it is not shown either.
  const line = complaint({ JWT_PRIVATE_KEY: 'secret', METRICS_FROM: 'http://user:secret@host', REDIS_URL: 'redis://:secret@host', PORT: 'x' })
  t.match(line, /^PORT="x" /)
  t.notMatch(line, 'secret')
})

t.test('a configuration is frozen', async t => {
  const config = loadConfig({})
  t.ok(Object.isFrozen(config))
  t.throws(() => { (config as { PORT: number }).PORT = 1 }, TypeError)
})

t.test('variables that nobody named are ignored, whatever they are called', async t => {
  const config = loadConfig({ PATH: '/bin', port: '1', PORTS: 'x', constructor: 'x', __proto__: 'x' as never, toString: 'x' as never })
  t.same(config, loadConfig({}))
  t.same(Object.keys(config).filter(name => !names.includes(name)), [])
})

t.test('without an argument the environment of the process is read', async t => {
  const before = process.env.HELLO_MS
  process.env.HELLO_MS = '1234'
  t.teardown(() => { if (before === undefined) delete process.env.HELLO_MS; else process.env.HELLO_MS = before })
  t.equal(loadConfig().HELLO_MS, 1234)
})
