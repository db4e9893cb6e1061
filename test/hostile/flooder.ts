// A client in a process of its own that sends as much as it can, until it is killed:
// `node flooder.ts <url> <token> <room> <kind>`. It says `flooding` once it does, and counts what it did when asked by SIGTERM.
import { setTimeout as sleep } from 'node:timers/promises'
import { bytesOf, PING, upgrade } from './attack.ts'

const [url = '', token = '', room = '', kind = ''] = process.argv.slice(2)
const CHUNK_BYTES = 65_536

const frames: Record<string, Buffer> = {
  pings: bytesOf('{"type":"ping","ref":1}'),
  'control pings': bytesOf('', { opcode: PING }),
  'large frames': bytesOf(`{"type":"ping","x":[${'1,'.repeat(32_000)}1]}`),
  'bad frames': bytesOf('{"type":"message"}'),
  messages: bytesOf(JSON.stringify({ type: 'message', room_id: room, content: 'flood' })),
  subscriptions: bytesOf(JSON.stringify({ type: 'subscribe', room_id: room, after: { seq: 0 } })),
}

let done = 0
process.on('SIGTERM', () => { process.stdout.write(`${done}\n`, () => process.exit(0)) })
process.stdout.write('flooding\n')

if (kind === 'requests' || kind === 'log-ins') {
  const ask = async (): Promise<void> => {
    for (;;) {
      const answer = kind === 'requests'
        ? await fetch(new URL(`/rooms/${room}/messages?limit=200`, url), { headers: { authorization: `Bearer ${token}` } })
        : await fetch(new URL('/auth/login', url), { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"username":"nobody","password":"a wrong password"}' })
      await answer.arrayBuffer()
      done += 1
    }
  }
  await Promise.all(Array.from({ length: 20 }, ask))
} else {
  const frame = frames[kind]!
  const chunk = Buffer.concat(Array.from({ length: Math.max(1, Math.floor(CHUNK_BYTES / frame.length)) }, () => frame))
  for (;;) { // again whenever it was thrown out
    const { socket, closed } = await upgrade(url, { token })
    while (!socket.destroyed && !socket.writableEnded) {
      done += 1
      if (socket.write(chunk)) await new Promise(resolve => setImmediate(resolve))
      else await Promise.race([closed, new Promise(resolve => socket.once('drain', resolve))])
    }
    socket.destroy()
    await sleep(5)
  }
}
