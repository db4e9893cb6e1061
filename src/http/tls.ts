/**
 * TLS by the gateway itself (https and wss), where no proxy ends it: certificate and key out of the PEM files that TLS_CERT and
 * TLS_KEY name. The files are looked at again and again, by their content (an issuer may replace them, or a link to them), and what is
 * new serves the connections from then on; what does not fit is logged and the old pair stays, so a renewal never ends a gateway.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { ConfigError } from '../config.ts'
import type { Logger } from '../telemetry/logging.ts'

/** From the opening of a connection to the end of its handshake; Node's 120 s would let silent ones pile up. */
export const HANDSHAKE_MS = 10_000
/** Between two looks at the files. */
const LOOK_MS = 10_000
/** An expiry this near is said in the log. */
const EXPIRES_SOON_MS = 7 * 24 * 3600 * 1000

/** TLS_CERT or TLS_KEY cannot be used; the message is one line, without anything of the key. */
export class TlsUnfit extends Error {
  override name = 'TlsUnfit'
}

/** Both as PEM; the certificate with those of its issuers behind it. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

/** Paths of the two. */
export type TlsFiles = KeyPair

/** The files that the configuration names, if it does. Throws ConfigError where only one is named. */
export function tlsFiles ({ TLS_CERT: cert, TLS_KEY: key }: { readonly TLS_CERT?: string | undefined, readonly TLS_KEY?: string | undefined }): TlsFiles | undefined {
  if (cert === undefined && key === undefined) return undefined
  if (cert === undefined || key === undefined) throw new ConfigError(`${cert === undefined ? 'TLS_CERT' : 'TLS_KEY'} is missing: TLS needs both TLS_CERT and TLS_KEY, paths of PEM files.`)
  return { cert, key }
}

/** Reads both and proves that they belong together. Throws TlsUnfit. */
export function readKeyPair (files: TlsFiles): KeyPair {
  const read = (name: string, path: string): string => {
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      throw new TlsUnfit(`${name}=${path} cannot be read (${(error as NodeJS.ErrnoException).code}): name a PEM file that this user may read.`)
    }
  }
  return prove(files, { cert: read('TLS_CERT', files.cert), key: read('TLS_KEY', files.key) })
}

function prove (files: TlsFiles, pair: KeyPair): KeyPair {
  const certificate = parse(() => new X509Certificate(pair.cert), `TLS_CERT=${files.cert} is not a certificate: it must be PEM, the server’s certificate first, then those of its issuers.`)
  const encrypted = /ENCRYPTED/.test(pair.key)
  const key = parse(() => createPrivateKey(pair.key), `TLS_KEY=${files.key} is not ${encrypted ? 'a key without a passphrase' : 'a private key'}: it must be PEM, not encrypted.`)
  if (!certificate.checkPrivateKey(key)) throw new TlsUnfit(`TLS_KEY=${files.key} is not the key of the certificate in TLS_CERT=${files.cert}: give the two that were made together.`)
  parse(() => createSecureContext(pair), `TLS_CERT=${files.cert} cannot be used: a certificate in it is broken.`)
  return pair
}

function parse<T> (work: () => T, otherwise: string): T {
  try {
    return work()
  } catch {
    throw new TlsUnfit(otherwise) // without the cause: OpenSSL's text helps nobody, and may quote
  }
}

/** Has `serve` called with each new pair that fits. `pair`: the one that serves now. */
export function watchKeyPair ({ files, pair, serve, logger, clock, lookMs = LOOK_MS }: { files: TlsFiles, pair: KeyPair, serve: (pair: KeyPair) => void, logger: Logger, clock: () => number, lookMs?: number }): { stop: () => Promise<void> } {
  let current = pair
  let refused: string | undefined
  let looking = Promise.resolve()
  warnOfExpiry(pair)

  function warnOfExpiry ({ cert }: KeyPair): void {
    const { validTo } = new X509Certificate(cert)
    const leftMs = Date.parse(validTo) - clock()
    if (leftMs < EXPIRES_SOON_MS) logger.warn({ expires: validTo }, leftMs < 0 ? 'the TLS certificate has expired' : 'the TLS certificate expires soon')
  }

  async function look (): Promise<void> {
    try {
      const [cert, key] = await Promise.all([readFile(files.cert, 'utf8'), readFile(files.key, 'utf8')])
      if (cert === current.cert && key === current.key) return
      const next = prove(files, { cert, key })
      serve(next)
      current = next
      refused = undefined
      logger.info({ expires: new X509Certificate(cert).validTo }, 'a new TLS certificate is in use')
      warnOfExpiry(next)
    } catch (error) {
      const { message } = error as Error
      if (message !== refused) logger.error({ reason: message }, 'the new TLS certificate is not used; the one before stays') // once: one file may be written before the other
      refused = message
    }
  }

  const timer = setInterval(() => { looking = looking.then(look) }, lookMs)
  return {
    async stop () {
      clearInterval(timer)
      await looking
    },
  }
}
