/**
 * The Redis server program: on the PATH, or installed with the system's package manager where that is allowed.
 *
 * `redis-server` or `valkey-server`, at least 7.0 and 7.2. Installs with apt-get (as root, or by sudo without a password) or
 * with Homebrew, and says so; else refuses with the command to run. Debian's package is kept from starting a Redis
 * of its own. Does not start anything.
 */
import { spawn } from 'node:child_process'
import { access, constants, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { run } from './postgres-account.ts'
import { StartError } from './start-error.ts'

const NAMES = ['redis-server', 'valkey-server']
const USUAL_PLACES = ['/usr/local/bin', '/usr/bin', '/usr/local/sbin', '/usr/sbin', '/opt/homebrew/bin', '/opt/homebrew/opt/redis/bin', '/snap/bin']

/** Oldest that will do. What is needed: sharded pub/sub, functions of XGROUP and XADD (7.0); Valkey began at 7.2. */
const OLDEST = { redis: [7, 0], valkey: [7, 2] } as const

export interface FindOptions {
  log: (line: string) => void
  /** Where programs are looked for, `redis-server` and package managers alike. */
  path?: string
  /** Directories that are looked at after those of `path`. */
  usualPlaces?: readonly string[]
  uid?: number
  /** Aborted: an installation that is under way is left to end by itself, and not waited for. */
  signal?: AbortSignal
}

/** The program, installed if need be. Throws StartError. */
export async function redisBinary (options: FindOptions): Promise<string> {
  const found = await find(options, NAMES) ?? await install(options)
  await checkBinary(found)
  return found
}

/** Throws StartError when the program does not run or is too old. */
export async function checkBinary (binary: string): Promise<void> {
  const { code, out, err } = await run(binary, ['--version'])
  const version = /\bv=([\d.]+)/.exec(out)?.[1]
  if (code !== 0 || version === undefined) throw new StartError(`${binary} does not run (${(err || out).trim().split('\n')[0]}): install Redis 7.0 or newer, or set REDIS_URL`)
  const product = /valkey/i.test(out) ? 'valkey' : 'redis'
  if (isOlder(version, OLDEST[product])) throw new StartError(`${binary} is ${productName(product)} ${version}, and Millrace needs Redis 7.0 or Valkey 7.2: install a newer one, or set REDIS_URL to one`)
}

/** Undefined when this server will do, else a line about its version. `info` is what INFO answered. */
export function tooOld (info: Record<string, string>): string | undefined {
  const product = info.valkey_version !== undefined ? 'valkey' : 'redis'
  const version = info.valkey_version ?? info.redis_version ?? '0'
  return isOlder(version, OLDEST[product]) ? `${productName(product)} ${version}, and Millrace needs Redis 7.0 or Valkey 7.2` : undefined
}

function isOlder (version: string, [major, minor]: readonly [number, number]): boolean {
  const [a = 0, b = 0] = version.split('.').map(Number)
  return a < major || (a === major && b < minor)
}

function productName (product: 'redis' | 'valkey'): string {
  return product === 'redis' ? 'Redis' : 'Valkey'
}

async function find ({ path = process.env.PATH ?? '', usualPlaces = USUAL_PLACES }: FindOptions, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    for (const dir of [...path.split(delimiter), ...usualPlaces]) {
      if (dir === '') continue
      const file = join(dir, name)
      if (await access(file, constants.X_OK).then(() => true, () => false)) return file
    }
  }
  return undefined
}

// A policy-rc.d of 101 keeps the package's scripts from starting a service; without one of its own the system gets ours for the
// length of this script. `disable`: nor shall it start with the machine. Updates the lists only when they do not know the package.
const APT = `
export DEBIAN_FRONTEND=noninteractive
if [ ! -e /usr/sbin/policy-rc.d ]; then
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  trap 'exit 1' HUP INT TERM
  { printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d; } 2>/dev/null
fi
install () { "$1" install -y --no-install-recommends redis-server; }
install "$1" || { "$1" update && install "$1"; } || exit 1
if command -v systemctl >/dev/null 2>&1; then systemctl disable redis-server >/dev/null 2>&1; fi
exit 0
`

async function install (options: FindOptions): Promise<string> {
  const { log, uid = process.getuid?.() } = options
  const [apt, brew, sudo] = await Promise.all(['apt-get', 'brew', 'sudo'].map(async name => await find(options, [name])))
  const env = { ...process.env, PATH: `${options.path ?? process.env.PATH ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin` } // dpkg wants sbin, which a user's PATH often lacks
  if (apt !== undefined) {
    const asRoot = uid === 0 ? ['/bin/sh'] : sudo !== undefined && (await run(sudo, ['-n', 'true'], { env })).code === 0 ? [sudo, '-n', '/bin/sh'] : undefined
    if (asRoot === undefined) throw new StartError('Redis is not installed: run `sudo apt-get install redis-server`, or set REDIS_URL')
    const [file = '', ...args] = asRoot
    log('Redis is not installed: installing redis-server with apt-get')
    return await installed(options, await runUnbound(file, [...args, '-c', APT, 'sh', apt], env, options.signal), 'apt-get install redis-server')
  }
  if (brew !== undefined && uid !== 0) { // Homebrew refuses root
    log('Redis is not installed: installing redis with Homebrew')
    return await installed(options, await runUnbound(brew, ['install', 'redis'], env, options.signal), 'brew install redis')
  }
  throw new StartError(`Redis is not installed: run \`${await commandToRun(options)}\`, or set REDIS_URL`)
}

async function installed (options: FindOptions, result: { code: number, text: string }, command: string): Promise<string> {
  const found = await find(options, NAMES)
  if (result.code === 0 && found !== undefined) return found
  const lines = result.text.trim().split('\n')
  const why = lines.findLast(line => /^E: |error/i.test(line)) ?? lines.at(-1) ?? ''
  throw new StartError(`Redis could not be installed (${why}): run \`${command}\`, or set REDIS_URL`)
}

/**
 * Runs an installer in a session of its own, writing to a file: neither Ctrl-C nor our end may cut a package manager off half-way.
 * Throws an empty StartError when `signal` is aborted.
 */
async function runUnbound (file: string, args: string[], env: NodeJS.ProcessEnv, signal?: AbortSignal): Promise<{ code: number, text: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-install-'))
  const output = await open(join(dir, 'output'), 'w')
  let onAbort: (() => void) | undefined
  try {
    const child = spawn(file, args, { detached: true, stdio: ['ignore', output.fd, output.fd], env, cwd: '/' })
    const code = await new Promise<number>((resolve, reject) => {
      onAbort = () => { child.unref(); reject(new StartError('')) }
      signal?.addEventListener('abort', onAbort, { once: true })
      if (signal?.aborted === true) onAbort()
      child.once('exit', code => resolve(code ?? 1))
      child.once('error', () => resolve(127))
    })
    return { code, text: await readFile(join(dir, 'output'), 'utf8') }
  } finally {
    if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort)
    await output.close()
    await rm(dir, { recursive: true, force: true })
  }
}

async function commandToRun (options: FindOptions): Promise<string> {
  const commands = { dnf: 'sudo dnf install redis', yum: 'sudo yum install redis', zypper: 'sudo zypper install redis', apk: 'sudo apk add redis', pacman: 'sudo pacman -S valkey', brew: 'brew install redis' }
  for (const [name, command] of Object.entries(commands)) {
    if (await find(options, [name]) !== undefined) return command
  }
  return process.platform === 'darwin' ? 'brew install redis' : 'apt-get install redis-server'
}
