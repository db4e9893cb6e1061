/**
 * Secrets that were not given: made once and kept in DATA_DIR, each in a file of mode 0600.
 *
 * What is kept stays: with another key every token would be void, with another password the private servers would be
 * locked. A file is written whole or not at all. Does not rotate.
 */
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { chmodSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { StartError } from './start-error.ts'

/** An Ed25519 private key, PKCS#8 PEM. */
export function keptSigningKey (dataDir: string): string {
  const pem = kept(join(dataDir, 'jwt-private-key.pem'), () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  try {
    if (createPrivateKey(pem).asymmetricKeyType === 'ed25519') return pem
  } catch {}
  throw new StartError(`${join(dataDir, 'jwt-private-key.pem')} is not an Ed25519 private key: put the right one back, or remove it (everyone then has to log in again)`)
}

/** A password that needs no escaping in a URL. `name` is that of its server. */
export function keptPassword (dataDir: string, name: string): string {
  return kept(join(dataDir, `${name}.password`), () => randomBytes(24).toString('hex')).trim()
}

function kept (path: string, make: () => string): string {
  try {
    const text = readFileSync(path, 'utf8')
    chmodSync(path, 0o600) // it may come from a backup with another mode
    if (text.trim() !== '') return text
    rmSync(path) // an empty one is left by a full disk
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw new StartError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code}): start as the user who made it`)
  }
  const draft = `${path}.${process.pid}.tmp`
  writeFileSync(draft, make(), { mode: 0o600, flush: true })
  try {
    linkSync(draft, path) // in one step, and not over one that another has just made
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(draft, { force: true })
  }
  return readFileSync(path, 'utf8')
}
