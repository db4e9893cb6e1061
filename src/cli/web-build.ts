/**
 * Builds the web client when its sources are newer than what was built from them, or nothing was. `npm ci --prefix web` comes first where its
 * tools are missing. A build is made beside the last one and takes its place at once, whole; two at the same time do no harm. What fails is
 * one line: the API needs no page.
 */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
/** What the page is made of; the client SDK is a part of it. */
const SOURCES = ['web/src', 'web/worker', 'web/public', 'web/index.html', 'web/vite.config.ts', 'web/package-lock.json', 'src/client']
/** Time that npm has to bring the tools, and that the build takes at most. */
const INSTALL_MS = 240_000
const BUILD_MS = 180_000
/** Characters of what a tool wrote that are shown when it fails. */
const SHOWN_CHARS = 600

export interface WebBuildOptions {
  out: (line: string) => void
  signal?: AbortSignal
  /** Environment of npm and the build. Passed on, not read. */
  env?: NodeJS.ProcessEnv
}

/** True if there is a build that is up to date when it resolves. Never throws. */
export async function buildWeb ({ out, signal, env }: WebBuildOptions): Promise<boolean> {
  const web = join(ROOT, 'web')
  const dist = join(web, 'dist')
  try {
    const newest = Math.max(...SOURCES.map(path => newestIn(join(ROOT, path))))
    if (!existsSync(join(web, 'index.html'))) return existsSync(join(dist, 'index.html')) // installed without the sources
    if (modifiedAt(join(dist, 'index.html')) >= newest) return true
    if (!existsSync(join(web, 'node_modules/vite'))) {
      out('Getting what the web client is built with (npm ci in web/)')
      const npm = npmCli()
      await run([...npm, 'ci', '--no-audit', '--no-fund'], { cwd: web, ms: INSTALL_MS, signal, env })
    }
    out('Building the web client')
    const made = `dist.${process.pid}`
    const old = `${dist}.${process.pid}.old`
    try {
      await run([process.execPath, join(web, 'node_modules/vite/bin/vite.js'), 'build', '--outDir', made, '--emptyOutDir', '--logLevel', 'warn'], { cwd: web, ms: BUILD_MS, signal, env: { ...env, NODE_ENV: 'production' } })
      utimesSync(join(web, made, 'index.html'), newest / 1000, newest / 1000) // what changes during the build is newer
      if (existsSync(dist)) renameSync(dist, old)
      renameSync(join(web, made), dist)
    } finally {
      for (const left of [join(web, made), old]) rmSync(left, { recursive: true, force: true })
    }
    return true
  } catch (error) {
    if (signal?.aborted !== true) out(`The web client could not be built, all else works: ${(error as Error).message}`)
    return false
  }
}

/** Milliseconds since the epoch of the newest file below this path; 0 if there is nothing. */
function newestIn (path: string): number {
  const at = modifiedAt(path)
  if (at === 0 || !statSync(path).isDirectory()) return at
  return readdirSync(path, { withFileTypes: true, recursive: true }).reduce((newest, entry) => entry.isFile() ? Math.max(newest, modifiedAt(join(entry.parentPath, entry.name))) : newest, 0)
}

function modifiedAt (path: string): number {
  return Math.floor(statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0)
}

/** The npm of this Node, if it has one beside it; else whichever is on the PATH. */
function npmCli (): string[] {
  const beside = join(dirname(process.execPath), '../lib/node_modules/npm/bin/npm-cli.js')
  return existsSync(beside) ? [process.execPath, beside] : ['npm']
}

/** Runs a tool to its end. Throws with the last of what it wrote. */
async function run ([file = '', ...args]: string[], { cwd, ms, signal, env }: { cwd: string, ms: number, signal: AbortSignal | undefined, env: NodeJS.ProcessEnv | undefined }): Promise<void> {
  const ending = AbortSignal.any([AbortSignal.timeout(ms), ...(signal === undefined ? [] : [signal])])
  let written = ''
  await new Promise<void>((resolve, reject) => {
    const child = spawn(file, args, { cwd, env, signal: ending, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) stream.on('data', data => { written = (written + String(data)).slice(-SHOWN_CHARS) })
    child.once('error', error => { reject(ending.aborted ? new Error(`it took longer than ${ms / 1000} s`) : error) })
    child.once('close', code => { code === 0 ? resolve() : reject(new Error(written.trim() === '' ? `it ended with ${code}` : written.trim().replaceAll(/\s*\n\s*/g, ' · '))) })
  })
}
