/**
 * Socket.IO's wire (engine.io 4, protocol 5, websocket transport): `42["message",{…}]` is a delivery, `43<id>[…]` an ack, `2` a ping.
 * The peer puts the content first, so that it stands at a fixed place.
 */
import { awaitText, digits, MARK, newPlace, takeContent, type Dialect, type Sink } from './dialect.ts'

const CONTENT_AT = '42["message",{"content":"'.length
const TWO = 50; const THREE = 51; const FOUR = 52; const BRACKET = 91

export function createSocketIoDialect (sink: Sink): Dialect {
  return {
    path: '/socket.io/?EIO=4&transport=websocket',

    async greet (connection, token) {
      connection.push(`40${JSON.stringify({ token })}`)
      connection.flush()
      await awaitText(connection, 'connect', text => {
        if (text.startsWith('44')) sink.problem(text)
        return text.startsWith('40')
      })
    },

    async join () {}, // entering a room is both

    async enter (connection, roomIds, _joins, senders) {
      connection.push(`420${JSON.stringify(['subscribe', roomIds])}`)
      connection.flush()
      for (const roomId of roomIds) {
        const place = newPlace(roomId, senders, 0)
        connection.places.set(roomId, place)
        if (roomIds.length === 1) connection.place = place
      }
      await awaitText(connection, 'the ack of a subscription', text => {
        if (!text.startsWith('430')) return false
        connection.onSetup = undefined
        return true
      })
    },

    messageOf: (n, roomId, clientId, content) => `42${n}["message",{"content":"${content}","room_id":"${roomId}","client_id":"${clientId}"}]`,

    onText (connection, bytes, from, to) {
      if (bytes[from] === FOUR) {
        if (bytes[from + 1] === TWO) {
          const at = from + CONTENT_AT
          const { place } = connection
          if (bytes[at] !== MARK || place === undefined) return sink.problem(`socket ${connection.index} got ${bytes.toString('utf8', from, to).slice(0, 300)}`)
          return takeContent(connection, place, bytes, at, sink)
        }
        if (bytes[from + 1] === THREE) {
          let end = from + 2
          while (bytes[end] !== BRACKET) end++
          return sink.acked(connection, digits(bytes, from + 2, end))
        }
      }
      if (bytes[from] === TWO && to === from + 1) {
        connection.push('3')
        return
      }
      sink.problem(`socket ${connection.index} got ${bytes.toString('utf8', from, to).slice(0, 300)}`)
    },
  }
}
