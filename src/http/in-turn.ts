/**
 * Requests that a client sends on one connection without waiting for the answers (pipelining) are served one after the other:
 * the next when the last answer is written. Node would serve all of them at once and keep the answers in memory for a client
 * that may never read them. Beyond `waitingMax` the connection is cut: honest clients do not pipeline that far [G7].
 */
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { refuse } from './problems.ts'

interface Line {
  busy: boolean
  waiting: Array<() => void>
}

/** An `onRequest` hook. */
export function createInTurn ({ waitingMax }: { waitingMax: number }) {
  const lines = new WeakMap<Socket, Line>()

  function lineOf (socket: Socket): Line {
    const known = lines.get(socket)
    if (known !== undefined) return known
    const line: Line = { busy: false, waiting: [] }
    lines.set(socket, line)
    socket.once('close', () => { for (const go of line.waiting.splice(0)) go() })
    return line
  }

  return async ({ raw: { socket, headers } }: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (headers.upgrade !== undefined) return // nothing follows it
    const line = lineOf(socket)
    if (line.busy) {
      if (line.waiting.length >= waitingMax) socket.destroy()
      else await new Promise<void>(resolve => { line.waiting.push(resolve) })
      if (socket.destroyed) refuse('request_timeout', 'The connection is gone')
    }
    line.busy = true
    reply.raw.once('close', () => {
      line.busy = false
      line.waiting.shift()?.()
    })
  }
}
