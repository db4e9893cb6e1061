/**
 * Requests to URLs that users have given: push services and webhooks. They go to public addresses only, unless the operator allows others,
 * so that nobody reaches through this process what stands beside it. The address is checked when the connection is made, after the name was
 * resolved: a name that was looked up earlier may point elsewhere by then.
 *
 * Bounded: one deadline from the look-up to the last byte, few bytes of the answer are read, and no redirect is followed [G7].
 */
import { lookup as dnsLookup, type LookupAddress } from 'node:dns'
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { BlockList, isIP, isIPv4, type LookupFunction } from 'node:net'

export const URL_CHARS_MAX = 2048
/** Of an answer, so much is read: enough to say what was wrong. */
const ANSWER_BYTES_MAX = 4096
/** Connections of this process to one host that are open at once. */
const SOCKETS_MAX = 64

/** What is not on the public internet: RFC 6890, and what stands for such an address in another notation. */
const CLOSED = new BlockList()
for (const [net, bits] of [['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12], ['192.0.0.0', 24], ['192.0.2.0', 24], ['192.88.99.0', 24], ['192.168.0.0', 16], ['198.18.0.0', 15], ['198.51.100.0', 24], ['203.0.113.0', 24], ['224.0.0.0', 3]] as const) CLOSED.addSubnet(net, bits)
for (const [net, bits] of [['2001::', 23], ['2001:db8::', 32], ['2002::', 16], ['3fff::', 20]] as const) CLOSED.addSubnet(net, bits, 'ipv6')
/** Of IPv6, what is handed out to the internet; all else is local, a tunnel, or reserved. */
const GLOBAL = new BlockList()
GLOBAL.addSubnet('2000::', 3, 'ipv6')

/** Whether an address is one of the public internet. */
export function isPublic (address: string): boolean {
  if (isIPv4(address)) return !CLOSED.check(address)
  return GLOBAL.check(address, 'ipv6') && !CLOSED.check(address, 'ipv6')
}

/** The connection was not made: the URL leads to an address that is not public. */
export class NotPublic extends Error {
  override name = 'NotPublic'
}

/**
 * What is wrong with a URL that somebody gives, as far as it can be told without asking anybody; undefined for nothing.
 * @param insecure whether http will do
 */
export function wrongWithUrl (text: string, { allowPrivate, insecure }: { allowPrivate: boolean, insecure: boolean }): string | undefined {
  if (text.length > URL_CHARS_MAX || !/^[\x21-\x7e]+$/.test(text) || !URL.canParse(text)) return 'it must be a URL'
  const url = new URL(text)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && (insecure || allowPrivate))) return insecure ? 'it must be an http or https URL' : 'it must be an https URL'
  if (url.username !== '' || url.password !== '') return 'it must not have a user name or password in it'
  const host = hostOf(url)
  const local = isIP(host) !== 0 ? !isPublic(host) : /(^|\.)localhost\.?$/i.test(host)
  return local && !allowPrivate ? 'it must lead to a public address' : undefined
}

/** An IPv6 address without its brackets. */
const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[(.*)\]$/, '$1')

export interface Posted {
  readonly status: number
  /** The beginning of the answer. */
  readonly text: string
}

export interface Egress {
  /** Posts, and gives the answer, whatever its status. Throws NotPublic, what the network throws, and at the deadline. */
  post: (url: string, request: { headers: Record<string, string>, body: Buffer | string, timeoutMs: number, signal?: AbortSignal | undefined }) => Promise<Posted>
  close: () => void
}

/** @param allowPrivate whether any address will do: for tests and intranets */
export function createEgress ({ allowPrivate }: { allowPrivate: boolean }): Egress {
  const options = { lookup: guarded(allowPrivate), maxSockets: SOCKETS_MAX, keepAlive: false }
  const agents = { http: new HttpAgent(options), https: new HttpsAgent(options) }

  return {
    async post (text, { headers, body, timeoutMs, signal }) {
      const url = new URL(text)
      const host = hostOf(url)
      if (!allowPrivate && isIP(host) !== 0 && !isPublic(host)) throw new NotPublic(`${host} is not a public address`) // Node looks up names only
      const deadline = AbortSignal.timeout(timeoutMs)
      const common = { method: 'POST', headers: { 'user-agent': 'Millrace', ...headers, 'content-length': String(Buffer.byteLength(body)) }, signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]) }
      return await new Promise<Posted>((resolve, reject) => {
        const answered = (response: IncomingMessage): void => { readStart(response).then(text => { resolve({ status: response.statusCode ?? 0, text }) }, reject) }
        const request = url.protocol === 'https:' ? httpsRequest(url, { ...common, agent: agents.https }, answered) : httpRequest(url, { ...common, agent: agents.http }, answered)
        request.on('error', error => { reject(deadline.aborted ? new Error(`there was no answer within ${timeoutMs} ms`) : error) })
        request.end(body)
      })
    },
    close () {
      agents.http.destroy()
      agents.https.destroy()
    },
  }
}

/** The first bytes; with them the connection is given up, however much would follow. */
async function readStart (response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (size >= ANSWER_BYTES_MAX) break // ends the stream, and the connection with it
  }
  return Buffer.concat(chunks).subarray(0, ANSWER_BYTES_MAX).toString()
}

/** Looks a name up, and refuses it if one of its addresses is not public: which of them is taken is not decided here. */
function guarded (allowPrivate: boolean): LookupFunction {
  return (hostname, options, callback) => {
    dnsLookup(hostname, { ...options, all: true }, (error: NodeJS.ErrnoException | null, found: LookupAddress[]) => {
      const closed = allowPrivate ? undefined : found?.find(({ address }) => !isPublic(address))
      if (error !== null) callback(error, [])
      else if (closed !== undefined) callback(new NotPublic(`${hostname} leads to ${closed.address}, which is not a public address`), [])
      else if (options.all === true) callback(null, found)
      else callback(null, found[0]!.address, found[0]!.family)
    })
  }
}
