/** A progress bar on standard error: redrawn in place on a terminal, a line for each tenth elsewhere. */

const CELLS = 30
const REDRAW_MS = 100

export interface Progress {
  at: (done: number) => void
  end: () => void
}

export function createProgress ({ total, what, out = process.stderr }: { total: number, what: string, out?: NodeJS.WriteStream }): Progress {
  const started = Date.now()
  let drawnAt = 0
  let tenth = -1
  let last = 0

  function line (done: number): string {
    const part = total === 0 ? 1 : done / total
    const full = Math.round(part * CELLS)
    const rate = Math.round(done / Math.max(0.001, (Date.now() - started) / 1000))
    return `[${'='.repeat(full)}${' '.repeat(CELLS - full)}] ${done.toLocaleString('en')}/${total.toLocaleString('en')} ${what}, ${rate.toLocaleString('en')}/s`
  }

  return {
    at (done) {
      last = done
      if (out.isTTY) {
        if (Date.now() - drawnAt < REDRAW_MS && done < total) return
        drawnAt = Date.now()
        out.write(`\r\x1b[2K${line(done)}`)
      } else if (total > 0 && Math.floor(done / total * 10) > tenth) {
        tenth = Math.floor(done / total * 10)
        out.write(`${line(done)}\n`)
      }
    },
    end () {
      if (out.isTTY) out.write(`\r\x1b[2K${line(last)}\n`)
    },
  }
}
