/**
 * The log file of a private server: appended to by the server itself (a pipe to us would break when we are killed), started
 * anew when it has grown large, and searched for the line that says why a start failed.
 */
import { open, readFile, type FileHandle } from 'node:fs/promises'

const BYTES_MAX = 16 * 1024 * 1024

export interface ServerLog {
  /** To be given to the server, then closed. */
  readonly file: FileHandle
  /** The last line since it was opened that matches, else the last line; empty when nothing was written. */
  lastLine (matching: RegExp): Promise<string>
}

export async function openServerLog (path: string): Promise<ServerLog> {
  const file = await open(path, 'a', 0o600)
  if ((await file.stat()).size > BYTES_MAX) await file.truncate()
  const from = (await file.stat()).size
  return {
    file,
    async lastLine (matching) {
      const lines = (await readFile(path)).subarray(from).toString().trim().split('\n')
      return lines.findLast(line => matching.test(line)) ?? lines.at(-1) ?? ''
    },
  }
}
