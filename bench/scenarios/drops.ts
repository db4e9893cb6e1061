/**
 * Clients that lose their connections all the time, in rooms where everybody talks: for a minute, 5 % of them are cut every second, and
 * meanwhile the two gateways are restarted, one after the other. Everything must reach everybody. Millrace and the peer with its
 * connection state recovery at the same time, so that both meet the same; each client knows both gateways of its kind.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Load, Millrace, Peer } from '../processes.ts'
import type { Tally } from '../load/returners.ts'
import type { ScenarioContext } from '../main.ts'
import { row, type Result, type Row } from '../results.ts'

const JITTER_MS = 1000

export async function drops ({ stage, say, quick }: ScenarioContext): Promise<Pick<Result, 'title' | 'settings' | 'rows' | 'verdicts' | 'raw'>> {
  const settings = quick
    ? { clients: 60, rooms: 6, rate: 60, seconds: 4, share: 0.05 }
    : { clients: 500, rooms: 50, rate: 200, seconds: 60, share: 0.05 }
  const { clients, rooms, rate, seconds, share } = settings

  async function enter <S extends Millrace | Peer> (server: S) {
    const second = await server.startGateway()
    const load = await stage.load(server.target)
    const { hostname: host, port } = new URL(second.url)
    await load.ask('gather', {
      rooms, perRoom: clients / rooms, speakers: 0, servers: [server.target, { host, port: Number(port) }], dealt: true, speakersAt: 0, jitterMs: JITTER_MS, sampleRooms: Math.min(rooms, 10), sampleSockets: 10, tallies: true, verifies: true,
    })
    return { server, second, load }
  }
  type Fighter = Awaited<ReturnType<typeof enter>>

  /** One after the other ends as it is asked to, and another takes its place. */
  async function restart ({ server, second }: Fighter): Promise<void> {
    for (const gateway of [server.gateway, second]) {
      await sleep(seconds / 4 * 1000)
      await gateway.stop()
      await server.startGateway(Number(new URL(gateway.url).port))
      say(`${server.kind}: a gateway was restarted`)
    }
  }

  async function suffer (fighter: Fighter): Promise<Tally> {
    const { load, server } = fighter
    await load.ask('talk', { rate })
    await Promise.all([load.ask('cutting', { share, seconds }), restart(fighter)])
    await load.ask('hush')
    await load.ask('allLive', { since: Date.now(), everyone: false, timeoutMs: 20_000 })
    await load.ask('settle', { timeoutMs: 20_000 })
    const tally = await load.ask('tally')
    say(`${server.kind}: ${tally.cuts} cuts, ${tally.sent} messages, ${tally.missing} of ${tally.due} deliveries are missing, ${tally.twice} came twice, ${tally.never_acked} messages were never acked`)
    return tally
  }

  const millrace = await enter(await stage.millrace())
  const peerServer = await stage.socketIo({ recovery: true })
  const peer = peerServer === undefined ? undefined : await enter(peerServer)
  const [ours, theirs] = await Promise.all([suffer(millrace), peer === undefined ? undefined : suffer(peer)])

  const part = `${clients} clients in ${rooms} rooms, ${rate} messages/s, ${share * 100} % cut each second, a rolling restart`
  // No ratios: nothing is nothing times.
  const both = (name: string, unit: string, of: (tally: Tally) => number, target?: Parameters<typeof row>[5]): Row => ({ ...row(part, name, unit, [of(ours)], theirs === undefined ? undefined : [of(theirs)], target), ratio: undefined })
  const exactly = (value: number, unit: string) => ({ text: `${value} ${unit}`.trim(), of: 'figure', holds: (found: number) => found === value } as const)
  return {
    title: 'drops: connections that fail all the time, and a rolling restart',
    settings,
    rows: [
      both('delivered', '%', ({ due, missing }) => 100 * (due - missing) / due, exactly(100, '%')),
      both('deliveries missing', '', ({ missing }) => missing, exactly(0, '')),
      both('deliveries twice', '', ({ twice }) => twice, exactly(0, '')),
      both('messages that were sent and never acked', '', tally => tally.never_acked, exactly(0, '')),
      both('clients lost', '', ({ away }) => away, exactly(0, '')),
      both('connections lost and made good', '', ({ cut, sent_away }) => cut.clients + sent_away.clients),
      both('from a cut to live p50', 'ms', ({ cut }) => cut.ms.p50),
      both('from a cut to live p99', 'ms', ({ cut }) => cut.ms.p99),
      both('from the end of a gateway to live p50', 'ms', tally => tally.sent_away.ms.p50),
      both('from the end of a gateway to live p99', 'ms', tally => tally.sent_away.ms.p99),
    ],
    verdicts: { millrace: await verdictOf(millrace.load), ...(peer === undefined ? {} : { 'socket.io': await verdictOf(peer.load) }) },
    raw: { ours, theirs },
  }
}

const verdictOf = async (load: Load) => await load.ask('judge')
