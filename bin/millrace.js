#!/usr/bin/env node
/**
 * The command `millrace`. Plain JavaScript for any Node from 20 on: it runs src/cli/millrace.ts, by itself where Node is 24 or newer,
 * else by running itself again under the Node that npm installed beside this package. Then it passes signals on, ends as that one
 * ended, and takes it along if it is killed (through the IPC channel). Does nothing else.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const NEEDED = 24

if (Number(process.versions.node.split('.')[0]) >= NEEDED) await run()
else runUnderNewerNode()

async function run () {
  if (process.send && !process.connected) return // gone before we began
  if (process.channel) { // when whoever holds the other end is gone: end as if asked to
    process.once('disconnect', () => { process.kill(process.pid, 'SIGTERM') })
    process.channel.unref()
  }
  await import('../src/compile-cache.ts')
  const { main } = await import('../src/cli/millrace.ts')
  await main(process.argv.slice(2))
}

function runUnderNewerNode () {
  const node = newerNode()
  if (node === undefined) {
    console.error(`Millrace needs Node ${NEEDED} or newer and this is ${process.version}: run \`npm ci\` in ${dirname(dirname(fileURLToPath(import.meta.url)))}, which brings one, or install it`)
    process.exitCode = 1
    return
  }
  const child = spawn(node, [...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] })
  child.channel?.unref()
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']
  for (const signal of signals) process.on(signal, () => { child.kill(signal) })
  child.once('error', error => {
    console.error(`Millrace could not be started with ${node}: ${error.message}`)
    process.exitCode = 1
  })
  child.once('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    for (const each of signals) process.removeAllListeners(each)
    process.kill(process.pid, signal) // end as it ended
    setTimeout(() => { process.exit(128 + constants.signals[signal]) }, 100) // a signal that does not end this process
  })
}

/** `npm ci` puts it in this package's folder, or in one above it where Millrace is a dependency. */
function newerNode () {
  for (const folder of createRequire(import.meta.url).resolve.paths('node') ?? []) {
    for (const file of ['node', 'node.exe'].map(name => join(folder, 'node', 'bin', name))) if (existsSync(file)) return file
  }
  return undefined
}
