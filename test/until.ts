// Waiting for a condition in tests: asks again and again until the answer is truthy, and fails with the name of what
// was waited for when the time is up. Tests use this instead of sleeping. It does not stop a question that never
// answers: a condition has to have an end of its own. What a condition throws is passed on at once.

import { setTimeout as sleep } from 'node:timers/promises'

export type UntilOptions = { timeoutMs?: number, everyMs?: number, what?: string }

export async function until<T> (cond: () => T | Promise<T>, { timeoutMs = 30_000, everyMs = 20, what = '' }: UntilOptions = {}): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const value = await cond()
    if (value) return value
    if (performance.now() >= deadline) throw new Error(`waited ${timeoutMs} ms for ${what || cond.toString()}`)
    await sleep(everyMs)
  }
}
