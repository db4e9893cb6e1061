/**
 * What people say, for benches that search it: lines of the chat logs beside the project (`../shared/data`) where they are, else of
 * the fixtures, halves of two put together, so that no two messages need be the same and words are as frequent as they really are.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseIrc } from '../src/cli/irc.ts'

const LOGS = ['../../shared/data/ubuntu-irc/', '../test/fixtures/irc/'].map(path => fileURLToPath(new URL(path, import.meta.url)))

/** A number from 0 to 1, the next of a sequence that a seed fixes. */
export type Random = () => number

export function randomOf (seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
}

export function createSpeech (random: Random): { source: string, say: () => string } {
  const source = LOGS.find(path => existsSync(path))!
  const lines = readdirSync(source).filter(name => name.endsWith('.txt')).flatMap(name => parseIrc(readFileSync(join(source, name), 'utf8'), { file: name, date: '2026-01-01' }).actions.flatMap(({ content }) => content ?? []))
  const line = (): string[] => lines[Math.floor(random() * lines.length)]!.split(' ')
  return {
    source,
    say () {
      const [one, other] = [line(), line()]
      return [...one.slice(0, Math.ceil(one.length / 2)), ...other.slice(other.length >> 1)].join(' ') || 'ok'
    },
  }
}
