/** Millrace's wire: `{"room_id":"…","seq":…` is an event, `{"type":"…` anything else (PROTOCOL.md; keys come in this order). */
import { awaitText, digits, MARK, newPlace, takeContent, type Dialect, type Sink } from './dialect.ts'

const ROOM_AT = '{"room_id":"'.length
const SEQ_AT = ROOM_AT + 36 + '","seq":'.length
/** From the end of the seq to the content. */
const CONTENT_AFTER = ',"chain":"0123456789abcdef","event_id":"'.length + 36 + '","v":1,"type":"message","content":"'.length
const REF_AT = '{"type":"ack","ref":'.length
const COMMA = 44
const A = 97; const B = 98; const E = 101; const R = 114

export function createMillraceDialect (sink: Sink): Dialect {
  return {
    path: '/ws',

    async greet (connection, token) {
      connection.push(JSON.stringify({ type: 'hello', token }))
      connection.flush()
      await awaitText(connection, 'welcome', text => {
        if (text.startsWith('{"type":"error"')) sink.problem(text)
        return text.startsWith('{"type":"welcome"')
      })
    },

    async join (connection, roomId) {
      connection.push(JSON.stringify({ type: 'join', ref: 1, room_id: roomId }))
      connection.flush()
      await awaitText(connection, 'the ack of a join', text => {
        if (text.startsWith('{"type":"error"')) sink.problem(text)
        return text.startsWith('{"type":"ack"')
      })
    },

    async enter (connection, roomIds, _joins, senders) {
      for (const room_id of roomIds) connection.push(JSON.stringify({ type: 'subscribe', room_id }))
      connection.flush()
      let missing = roomIds.length
      if (missing === 0) connection.onSetup = undefined
      else {
        await awaitText(connection, 'live', text => {
          if (text.startsWith('{"type":"error"')) sink.problem(text)
          if (!text.startsWith('{"type":"live"')) return false
          const { room_id, seq } = JSON.parse(text) as { room_id: string, seq: number }
          const place = newPlace(room_id, senders, seq)
          connection.places.set(room_id, place)
          if (roomIds.length === 1) connection.place = place
          if (connection.sampled) sink.keep(connection, 'frame', text)
          missing -= 1
          if (missing > 0) return false
          connection.onSetup = undefined // what comes next, perhaps in the same read, is load
          return true
        })
      }
    },

    messageOf: (n, roomId, clientId, content) => `{"type":"message","ref":${n},"client_id":"${clientId}","room_id":"${roomId}","content":"${content}"}`,

    onText (connection, bytes, from, to) {
      if (bytes[from + 2] === R) {
        const place = connection.place ?? connection.places.get(bytes.toString('latin1', from + ROOM_AT, from + ROOM_AT + 36))
        if (place === undefined) return sink.problem(`socket ${connection.index} got an event of a room that it is not in`)
        let seq = 0
        let at = from + SEQ_AT
        for (let byte = bytes[at]!; byte !== COMMA; byte = bytes[++at]!) seq = seq * 10 + byte - 48
        if (seq !== place.seq + 1) sink.problem(`socket ${connection.index} got seq ${seq} after ${place.seq}`)
        place.seq = seq
        if (connection.sampled) sink.keep(connection, 'frame', bytes.toString('utf8', from, to))
        at += CONTENT_AFTER
        if (bytes[at] === MARK) takeContent(connection, place, bytes, at, sink)
        else sink.problem(`socket ${connection.index} got what is no message of the load: ${bytes.toString('utf8', from, to).slice(0, 300)}`)
        return
      }
      switch (bytes[from + 9]) {
        case A: {
          let end = from + REF_AT
          while (bytes[end] !== COMMA) end++
          const n = digits(bytes, from + REF_AT, end)
          if (connection.keepsAcks) sink.keep(connection, 'ack', bytes.toString('utf8', from, to))
          return sink.acked(connection, n)
        }
        case B: case E:
          return sink.problem(`socket ${connection.index} got ${bytes.toString('utf8', from, to)}`)
      }
    },
  }
}
