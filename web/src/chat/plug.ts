/**
 * The plug: while it is pulled, nothing of this page reaches the server. Open sockets end abruptly, as if the cable had been cut, new ones
 * fail, and so does HTTP. It stays out until it is put back. With it anyone can watch a resume happen.
 */
import type { SocketClass, SocketLike } from 'millrace/client'
import { Observable } from './observable.ts'

export interface Plug {
  readonly pulled: Observable<boolean>
  pull: () => void
  push: () => void
  readonly Socket: SocketClass
  readonly fetch: typeof globalThis.fetch
}

/** How a socket ends whose network is gone. */
const ABNORMAL = 1006

/** @param cookies whether HTTP goes with the browser’s cookies: those of a tab’s own account are not its */
export function createPlug ({ cookies }: { cookies: boolean }): Plug {
  const pulled = new Observable(false)
  const sockets = new Set<{ cut: () => void }>()

  class PluggedSocket implements SocketLike {
    readonly #socket: WebSocket | undefined
    onopen: ((event: any) => void) | null = null
    onmessage: ((event: any) => void) | null = null
    onclose: ((event: any) => void) | null = null
    onerror: ((event: any) => void) | null = null
    #ended = false

    constructor (url: string, protocol: string) {
      if (pulled.get()) {
        setTimeout(() => { this.cut() })
        return
      }
      const socket = this.#socket = new WebSocket(url, protocol)
      socket.onopen = event => { if (!this.#ended) this.onopen?.(event) }
      socket.onmessage = event => { if (!this.#ended) this.onmessage?.(event) }
      socket.onerror = event => { if (!this.#ended) this.onerror?.(event) }
      socket.onclose = event => { this.#end(event) }
      sockets.add(this)
    }

    get readyState (): number { return this.#ended ? WebSocket.CLOSED : this.#socket?.readyState ?? WebSocket.CONNECTING }
    send (data: string): void { if (!this.#ended) this.#socket?.send(data) }
    close (code?: number): void { this.#socket?.close(code) }

    /** From here on nothing is heard of it, whatever is still on its way. */
    cut (): void {
      this.#end(new CloseEvent('close', { code: ABNORMAL, wasClean: false }))
      this.#socket?.close()
    }

    #end (event: CloseEvent): void {
      if (this.#ended) return
      this.#ended = true
      sockets.delete(this)
      this.onclose?.(event)
    }
  }

  return {
    pulled,
    pull () {
      if (pulled.get()) return
      pulled.set(true)
      for (const socket of [...sockets]) socket.cut()
      window.dispatchEvent(new Event('offline')) // as a browser tells it: no need to try before the plug is back
    },
    push () {
      if (!pulled.get()) return
      pulled.set(false)
      window.dispatchEvent(new Event('online')) // and to try at once
    },
    Socket: PluggedSocket,
    async fetch (input, init) {
      if (pulled.get()) throw new TypeError('The plug is pulled')
      return await fetch(input, cookies ? init : { ...init, credentials: 'omit' })
    },
  }
}
