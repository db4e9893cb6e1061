/**
 * The user that Postgres runs as: Postgres refuses root, and initdb wants one that has a name.
 *
 * Started as anyone but root: that user, and there is nothing to do (undefined). Started as root: `postgres` if the system
 * has it, else `millrace`, made as a system user, else `nobody`. Also answers whether that user can reach a path, by
 * trying it as that user: walking modes by hand would not know about ACLs, `noexec` or a container's mounts.
 */
import { spawn } from 'node:child_process'
import { StartError } from './start-error.ts'

export interface Account { readonly name: string, readonly uid: number, readonly gid: number }

/** The account to run Postgres as; undefined: the one that runs this. Makes a system user where root has none to use. */
export async function postgresAccount (): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const known = await lookUp('postgres') ?? await lookUp('millrace')
  if (known !== undefined) return known
  const quiet = { stdio: 'ignore' } as const
  await run('useradd', ['--system', '--no-create-home', '--user-group', '--shell', '/usr/sbin/nologin', 'millrace'], quiet)
  if (await lookUp('millrace') === undefined) await run('adduser', ['-S', '-D', '-H', 'millrace'], quiet) // busybox
  const made = await lookUp('millrace') ?? await lookUp('nobody')
  if (made === undefined) throw new StartError('Postgres does not run as root and no user for it could be made: run `useradd --system millrace`, start as another user, or set DATABASE_URL')
  return made
}

/** The account with this uid, for data that somebody owns already. */
export async function accountOf (uid: number): Promise<Account | undefined> {
  const { code, out } = await run('id', ['-un', String(uid)])
  return code === 0 ? await lookUp(out.trim()) : undefined
}

/** Whether `account` can go into `dir`. */
export async function canEnter (account: Account, dir: string): Promise<boolean> {
  const { code } = await run('/bin/sh', ['-c', 'cd "$1"', 'sh', dir], { uid: account.uid, gid: account.gid, cwd: '/' })
  return code === 0
}

async function lookUp (name: string): Promise<Account | undefined> {
  const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])])
  if (uid.code !== 0 || gid.code !== 0 || Number(uid.out) === 0) return undefined
  return { name, uid: Number(uid.out), gid: Number(gid.out) }
}

/** Whether `account` can go into `dir` and write there. */
export async function canUse (account: Account, dir: string): Promise<boolean> {
  const { code } = await run('/bin/sh', ['-c', 'cd "$1" && test -w .', 'sh', dir], { uid: account.uid, gid: account.gid, cwd: '/' })
  return code === 0
}

interface RunOptions { uid?: number, gid?: number, cwd?: string, env?: NodeJS.ProcessEnv, stdio?: 'ignore' }

/** Runs a program to its end. Never throws: a program that cannot be started has code 127. `err` holds what it wrote to stderr. */
export async function run (file: string, args: string[], options: RunOptions = {}): Promise<{ code: number, out: string, err: string }> {
  return await new Promise(resolve => {
    const child = spawn(file, args, { ...options, stdio: ['ignore', options.stdio ?? 'pipe', options.stdio ?? 'pipe'] })
    let out = ''
    let err = ''
    child.stdout?.on('data', chunk => { out += String(chunk) })
    child.stderr?.on('data', chunk => { err += String(chunk) })
    child.once('error', error => resolve({ code: 127, out, err: err + error.message }))
    child.once('close', code => resolve({ code: code ?? 1, out, err }))
  })
}
