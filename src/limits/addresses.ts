/**
 * Addresses of clients: which one is believed where load balancers stand before the gateway, and under which key it is counted.
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net'
import { ConfigError } from '../config.ts'

/**
 * An IPv6 client commands a whole /64, so its first 64 bits are what counts; an IPv4 address is the same however it is written.
 * @param ip undefined where the connection is gone already
 */
export function addressKey (ip: string | undefined): string {
  if (ip === undefined) return 'gone'
  const [, plain = ip] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip) ?? []
  if (!plain.includes(':')) return plain
  const [head = '', tail = ''] = plain.replace(/%.*$/, '').split('::')
  const groups = head === '' ? [] : head.split(':')
  const after = tail === '' ? [] : tail.split(':')
  while (groups.length + after.length < 8) groups.push('0')
  return `${[...groups, ...after].slice(0, 4).map(group => parseInt(group, 16).toString(16)).join(':')}::/64`
}

/** Whose X-Forwarded-For is believed, as Fastify takes it: nobody's, these addresses', or as the function says of the n-th hop. */
export type TrustProxy = false | string[] | ((address: string, hop: number) => boolean)

/** Loopback, link-local, private (RFC 1918, RFC 4193) and shared (RFC 6598) addresses. */
const PRIVATE = new BlockList()
for (const [net, bits] of [['127.0.0.0', 8], ['10.0.0.0', 8], ['172.16.0.0', 12], ['192.168.0.0', 16], ['169.254.0.0', 16], ['100.64.0.0', 10]] as const) PRIVATE.addSubnet(net, bits)
for (const [net, bits] of [['::1', 128], ['fc00::', 7], ['fe80::', 10]] as const) PRIVATE.addSubnet(net, bits, 'ipv6')

const isPrivate = (address: string): boolean => PRIVATE.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')

/**
 * Reads TRUST_PROXY. Throws ConfigError.
 *
 * A number of hops says nothing of who they are, so anybody who reaches the gateway past them could claim any address (Fastify
 * takes no number for that reason). It is believed only of a peer with a private address; others are named by range.
 */
export function readTrustProxy (text: string | undefined): TrustProxy {
  if (text === undefined) return false
  if (/^[1-9]\d?$/.test(text)) return (address, hop) => hop < Number(text) && (hop > 0 || isPrivate(address))
  const ranges = text.split(',').map(range => range.trim())
  if (ranges.every(isRange)) return ranges
  throw new ConfigError(`TRUST_PROXY=${JSON.stringify(text)} is not valid: it must be a number of load balancers from 1 to 99, or addresses and CIDR ranges with commas between them.`)
}

function isRange (range: string): boolean {
  const [, address = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(range) ?? []
  const bitsMax = isIPv4(address) ? 32 : isIPv6(address) ? 128 : 0
  return bitsMax > 0 && (bits === undefined || (Number(bits) >= 1 && Number(bits) <= bitsMax))
}
