// A seeded random source (mulberry32): what a fault run decides comes from here and nowhere else, so that a seed replays. `fork`
// gives each part a stream of its own: how often one of them draws, which depends on real time, changes nothing for the others.
import { createHash } from 'node:crypto'

export interface Random {
  /** At least 0, below 1. */
  next: () => number
  /** A whole number from `min` to `max`, both included. */
  int: (min: number, max: number) => number
  chance: (probability: number) => boolean
  pick: <T>(from: readonly T[]) => T
  shuffled: <T>(from: readonly T[]) => T[]
  uuid: () => string
  fork: (name: string) => Random
}

export function createRandom (seed: number | string): Random {
  let state = createHash('sha1').update(String(seed)).digest().readUInt32LE()
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const int = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1))
  return {
    next,
    int,
    chance: probability => next() < probability,
    pick: from => from[int(0, from.length - 1)]!,
    shuffled: from => from.map(item => [next(), item] as const).sort(([a], [b]) => a - b).map(([, item]) => item),
    uuid () {
      const hex = Array.from({ length: 32 }, () => int(0, 15).toString(16)).join('')
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`
    },
    fork: name => createRandom(`${seed}/${name}`),
  }
}
