/**
 * How a command reaches the stores: by REDIS_URL and DATABASE_URL, and what is not given by the running `npm start` of
 * DATA_DIR.
 */
import { resolve } from 'node:path'
import type { Config } from '../config.ts'
import { findRunning } from '../dev/run-file.ts'
import { CommandFailed } from './errors.ts'

/** The configuration with both URLs. Throws CommandFailed. */
export function reachStores (config: Config): Config & { REDIS_URL: string, DATABASE_URL: string } {
  const running = config.REDIS_URL === undefined || config.DATABASE_URL === undefined ? findRunning(resolve(config.DATA_DIR)) : undefined
  const REDIS_URL = config.REDIS_URL ?? running?.redis_url
  const DATABASE_URL = config.DATABASE_URL ?? running?.database_url
  if (REDIS_URL === undefined || DATABASE_URL === undefined) throw new CommandFailed(`No running Millrace was found in ${resolve(config.DATA_DIR)}: run npm start first, or set DATA_DIR, or both REDIS_URL and DATABASE_URL.`)
  return { ...config, REDIS_URL, DATABASE_URL }
}

/** URL of the running `npm start`. Throws CommandFailed. */
export function reachGateway (config: Config): string {
  const running = findRunning(resolve(config.DATA_DIR))
  if (running?.url === undefined) throw new CommandFailed(`No running Millrace was found in ${resolve(config.DATA_DIR)}: run npm start first, or name its URL.`)
  return running.url
}
