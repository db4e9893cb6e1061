// `millrace …` as a person runs it: a process of its own, with the environment given.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const MILLRACE = fileURLToPath(new URL('../../bin/millrace.js', import.meta.url))

export async function run (env: Record<string, string>, ...args: string[]): Promise<{ code: number, out: string, err: string }> {
  const child = spawn(process.execPath, [MILLRACE, ...args], { env: { PATH: process.env.PATH, ...env } })
  const result = { out: '', err: '' }
  child.stdout.on('data', data => { result.out += String(data) })
  child.stderr.on('data', data => { result.err += String(data) })
  const [code] = await once(child, 'close') as [number]
  return { code, ...result }
}
