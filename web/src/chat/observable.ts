/**
 * State that lives outside of React and is read by components: one value, or many by key. Values are immutable: a change is
 * another value. Listeners are told at once, each once per change; components read through the hooks, and are told once for all
 * that changes within a frame, and less often where much goes on for long: so most of the time is left for drawing, scrolling and typing.
 * (React gives up on what changes again and again in one turn.)
 */
import { useCallback, useRef, useSyncExternalStore } from 'react'

/** A value that may change. */
export class Observable<T> {
  #value: T
  readonly #listeners = new Set<() => void>()

  constructor (value: T) { this.#value = value }

  get = (): T => this.#value

  set (value: T): void {
    if (Object.is(value, this.#value)) return
    this.#value = value
    for (const listener of [...this.#listeners]) listener()
  }

  update (change: (value: T) => T): void { this.set(change(this.#value)) }

  /** Calls `listener` after each change; the returned function ends it. */
  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }
}

/** Values by key; whoever reads one key hears of that one only. */
export class ObservableMap<V> {
  readonly #values = new Map<string, V>()
  readonly #listeners = new Map<string, Set<() => void>>()

  get (key: string): V | undefined { return this.#values.get(key) }

  entries (): Array<[string, V]> { return [...this.#values] }

  set (key: string, value: V): void {
    if (Object.is(this.#values.get(key), value)) return
    this.#values.set(key, value)
    for (const listener of [...this.#listeners.get(key) ?? []]) listener()
  }

  subscribe (key: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(key) ?? new Set()
    this.#listeners.set(key, listeners.add(listener))
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#listeners.delete(key)
    }
  }
}

/** Milliseconds between two times that components are told, at least. */
const FRAME_MS = 16
/** Before the next time there is a rest of as many times what rendering took: of one at first, of more the longer it goes on without a pause. */
const RESTS_MAX = 10
const REST_MS_MAX = 100

const makers = new Set<() => void>()
const due = new Set<() => void>()
let isTelling = false
let inARow = 0
let nextAt = 0
let timer: ReturnType<typeof setTimeout> | undefined

function taken (from: Set<() => void>): Array<() => void> {
  const all = [...from]
  from.clear()
  return all
}

function tell (): void {
  inARow = timer === undefined ? 1 : Math.min(inARow + 1, RESTS_MAX)
  clearTimeout(timer)
  timer = undefined
  if (makers.size + due.size === 0) return // whoever listened is gone
  const began = performance.now()
  nextAt = began + FRAME_MS
  isTelling = true
  try {
    for (const make of taken(makers)) make()
    for (const listener of taken(due)) listener()
  } finally {
    isTelling = false
  }
  queueMicrotask(() => { // behind React's own, which renders
    const ended = performance.now()
    nextAt = Math.max(nextAt, ended + Math.min(inARow * (ended - began), REST_MS_MAX))
    if (makers.size + due.size > 0) soon(queueMicrotask)
  })
}

/** Tells when it is time; where that is now, by `atOnce`. */
function soon (atOnce: (tell: () => void) => void): void {
  if (isTelling || timer !== undefined) return
  const waitMs = nextAt - performance.now()
  if (waitMs > 0) timer = setTimeout(tell, waitMs)
  else atOnce(tell)
}

/** Calls `make` right before components are told the next time: for values that are made of much, and need to be made once for all that has changed. */
export function beforeTold (make: () => void): void {
  makers.add(make)
  soon(queueMicrotask)
}

/** A component's listener: of the first change it hears at once, of those behind it together. */
function paced (subscribe: (listener: () => void) => () => void, listener: () => void): () => void {
  const end = subscribe(() => {
    due.add(listener)
    soon(tell => { tell() })
  })
  return () => {
    due.delete(listener)
    end()
  }
}

function useStore<T, S> ({ subscribe }: Observable<T>, get: () => S): S {
  return useSyncExternalStore(useCallback(listener => paced(subscribe, listener), [subscribe]), get)
}

/** The value, now and whenever it changes. */
export function useValue<T> (observable: Observable<T>): T {
  return useStore(observable, observable.get)
}

/** A part of the value; renders again only when that part is another one. */
export function useSelected<T, S> (observable: Observable<T>, select: (value: T) => S, same: (a: S, b: S) => boolean = Object.is): S {
  const last = useRef<{ value: S } | undefined>(undefined)
  const get = (): S => {
    const value = select(observable.get())
    if (last.current === undefined || !same(last.current.value, value)) last.current = { value }
    return last.current.value
  }
  return useStore(observable, get)
}

/** The value of this key, now and whenever it changes. */
export function useKey<V> (map: ObservableMap<V>, key: string): V | undefined {
  return useSyncExternalStore(useCallback(listener => paced(told => map.subscribe(key, told), listener), [map, key]), () => map.get(key))
}
