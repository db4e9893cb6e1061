// The image of the Dockerfile, as far as it can be had without a container engine: its stages, what its last one says, and the very
// files that it holds, laid out in a folder, with the production dependencies and nothing else in node_modules.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BASE, watch } from '../dev/servers.ts'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))
export const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

export interface Instruction { readonly name: string, readonly text: string }
export interface Stage { readonly from: string, readonly name: string, readonly instructions: readonly Instruction[] }
export interface Copy { readonly from: string | undefined, readonly sources: readonly string[], readonly to: string }

/** The stages of the Dockerfile, in order; arguments before the first are put in. */
export function stages (): Stage[] {
  const lines = read('Dockerfile').replace(/\\\n/g, ' ').split('\n').filter(line => line.trim() !== '' && !line.startsWith('#'))
  const found: Array<Stage & { instructions: Instruction[] }> = []
  const args = new Map<string, string>()
  for (const line of lines) {
    const [, name = '', text = ''] = /^(\w+)\s+(.*)$/.exec(line.trim()) ?? []
    if (name === 'ARG' && found.length === 0) args.set(text.split('=')[0]!, text.split('=')[1] ?? '')
    else if (name === 'FROM') {
      const [, from = '', alias = ''] = /^(\S+) AS (\S+)$/.exec(text.replace(/\$\{(\w+)\}/g, (_, arg: string) => args.get(arg) ?? '')) ?? []
      found.push({ from, name: alias, instructions: [] })
    } else found.at(-1)!.instructions.push({ name, text })
  }
  return found
}

export function copies ({ instructions }: Stage): Copy[] {
  return instructions.filter(({ name }) => name === 'COPY').map(({ text }) => {
    const words = text.split(/\s+/)
    const from = words.find(word => word.startsWith('--from='))?.slice('--from='.length)
    const paths = words.filter(word => !word.startsWith('--'))
    return { from, sources: paths.slice(0, -1), to: paths.at(-1)! }
  })
}

/** What the last stage says once, such as USER. */
export function said (name: string): string | undefined {
  return stages().at(-1)!.instructions.findLast(instruction => instruction.name === name)?.text
}

/** ENV of the last stage. */
export function imageEnv (): Record<string, string> {
  const texts = stages().at(-1)!.instructions.filter(({ name }) => name === 'ENV').flatMap(({ text }) => text.split(/\s+/))
  return Object.fromEntries(texts.map(text => text.split('=') as [string, string]))
}

/** The command of HEALTHCHECK, and of ENTRYPOINT. */
export const healthCommand = (): string[] => JSON.parse(/CMD (\[.*\])$/.exec(said('HEALTHCHECK') ?? '')?.[1] ?? '[]') as string[]
export const entryPoint = (): string[] => JSON.parse(said('ENTRYPOINT') ?? '[]') as string[]

/** Folders of node_modules that `npm ci --omit=dev` installs, by the lock file. Those of other systems are not here. */
export function productionPackages (): string[] {
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, { dev?: boolean }> }
  return Object.entries(packages).filter(([path, { dev = false }]) => path !== '' && !dev && existsSync(join(ROOT, path))).map(([path]) => path)
}

/** A folder with what the image has in /app. */
export function imageTree (t: { teardown: (fn: () => void) => unknown }): string {
  const dir = mkdtempSync(join(BASE, 'millrace-image-'))
  watch(dir)
  t.teardown(() => { rmSync(dir, { recursive: true, force: true }) })
  const place = (source: string, to: string): void => {
    mkdirSync(dirname(join(dir, to)), { recursive: true })
    cpSync(join(ROOT, source), join(dir, to), { recursive: true, filter: from => !from.slice(ROOT.length + source.length).includes('/node_modules') })
  }
  for (const { from, sources, to } of copies(stages().at(-1)!)) {
    if (from === 'dependencies') for (const path of productionPackages()) place(path, path)
    else if (from === undefined) for (const source of sources) place(source, sources.length > 1 ? join(to, source) : to)
    else if (existsSync(join(ROOT, to))) place(to, to) // what another stage builds, where it was built
  }
  return dir
}
