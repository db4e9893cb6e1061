/**
 * Charts and the table of README.md, made from `results/*.json`. A chart is one SVG for each scenario: bars by figure, each figure on
 * its own scale, the ratio and the target beside it.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cells, figure, HEAD, ratioText, RESULTS, type Result, type Row } from './results.ts'

const README = new URL('README.md', import.meta.url)
const ORDER = ['fanout', 'rooms', 'idle', 'tail', 'projector', 'members', 'resume', 'storm', 'archive', 'drops', 'rebuild', 'reads', 'web']
const WIDTH = 860
const LEFT = 270
const BARS = 330
const INK = '#1f2933'
const FAINT = '#7b8794'
const OURS = '#0f766e'
const THEIRS = '#b45309'
const GOOD = '#15803d'
const BAD = '#b91c1c'

const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

/** The chart of one result. */
export function chartOf ({ title, rows, at, machine }: Result): string {
  const out: string[] = []
  let y = 0
  const text = (x: number, dy: number, content: string, { size = 12, fill = INK, anchor = 'start', weight = 400 } = {}): void => {
    out.push(`<text x="${x}" y="${y + dy}" font-size="${size}" fill="${fill}" text-anchor="${anchor}" font-weight="${weight}">${escape(content)}</text>`)
  }
  const bar = (dy: number, value: number, { min, max }: { min: number, max: number }, most: number, fill: string): void => {
    const scale = (n: number): number => Math.max(1, BARS * n / most)
    out.push(`<rect x="${LEFT}" y="${y + dy}" width="${scale(value).toFixed(1)}" height="11" rx="2" fill="${fill}"/>`)
    if (max > min) out.push(`<path d="M${(LEFT + scale(min)).toFixed(1)} ${y + dy + 5.5}H${(LEFT + scale(max)).toFixed(1)}" stroke="${INK}" stroke-width="1.5"/>`)
    text(LEFT + scale(Math.max(value, max)) + 6, dy + 10, figure(value), { size: 11 })
  }

  y = 30
  text(20, 0, title, { size: 17, weight: 600 })
  const hasPeer = rows.some(({ peer }) => peer !== undefined)
  y = 50
  out.push(`<rect x="20" y="${y - 9}" width="10" height="10" rx="2" fill="${OURS}"/>`)
  text(35, 0, 'Millrace')
  if (hasPeer) {
    out.push(`<rect x="100" y="${y - 9}" width="10" height="10" rx="2" fill="${THEIRS}"/>`)
    text(115, 0, `Socket.IO ${machine.socket_io} with its Redis Streams adapter`)
  }
  y = 60
  let part = ''
  for (const row of rows) {
    if (row.part !== part) {
      part = row.part
      y += 18
      text(20, 6, part, { weight: 600 })
      out.push(`<path d="M20 ${y + 12}H${WIDTH - 20}" stroke="#d5dbe1"/>`)
      y += 18
    }
    const most = Math.max(row.millrace.max, row.peer?.max ?? 0) * 1.15
    text(LEFT - 12, row.peer === undefined ? 11 : 18, `${row.name}${row.unit === '' ? '' : `, ${row.unit}`}`, { anchor: 'end' })
    bar(1, row.millrace.median, row.millrace, most, OURS)
    if (row.peer !== undefined) bar(15, row.peer.median, row.peer, most, THEIRS)
    const said = row.ratio === undefined ? '' : ratioText({ median: row.ratio.median, min: row.ratio.median, max: row.ratio.median })
    text(WIDTH - 118, row.peer === undefined ? 11 : 18, said, { anchor: 'end', weight: 600 })
    if (row.target !== undefined) text(WIDTH - 20, row.peer === undefined ? 11 : 18, `${row.target} ${row.holds === true ? '✓' : '✗'}`, { anchor: 'end', fill: row.holds === true ? GOOD : BAD })
    y += row.peer === undefined ? 20 : 34
  }
  y += 16
  text(20, 0, `Bars: medians; lines: spread over the rounds. ${machine.cores} cores for servers and clients together. ${at.slice(0, 10)}`, { size: 11, fill: FAINT })
  const height = y + 14
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="system-ui, sans-serif" role="img" aria-label="${escape(title)}">
<rect width="${WIDTH}" height="${height}" rx="8" fill="#ffffff"/>
${out.join('\n')}
</svg>
`
}

function tableOf (rows: readonly Row[]): string {
  const line = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`
  let part = ''
  const lines = rows.flatMap(row => {
    const head = row.part === part ? [] : [line([`**${row.part}**`, '', '', '', '', ''])]
    part = row.part
    return [...head, line(cells(row))]
  })
  return [line(HEAD), line(HEAD.map(() => '---')), ...lines].join('\n')
}

function sectionOf ({ scenario, title, rows, verdicts, machine, at }: Result): string {
  const sum = (of: (verdict: Result['verdicts'][string]) => number): string => figure(Object.values(verdicts).reduce((total, verdict) => total + of(verdict), 0))
  return `### ${title}

\`npm run bench -- ${scenario}\`, ${at.slice(0, 16).replace('T', ' ')} UTC, load of the machine before: ${machine.load_average_before}. ${sum(({ checked }) => checked.all_received)} deliveries in order and
complete; judged in full by the checker: ${sum(({ checked }) => checked.entries)} log entries, ${sum(({ checked }) => checked.acked)} acks, ${sum(({ checked }) => checked.delivered)} deliveries.

${tableOf(rows)}

![${title}](results/${scenario}.svg)
`
}

/** Draws all charts and writes the table between the marks in README.md. */
export function report (): void {
  const results = ORDER.filter(name => existsSync(`${RESULTS}${name}.json`)).map(name => JSON.parse(readFileSync(`${RESULTS}${name}.json`, 'utf8')) as Result)
  for (const result of results) writeFileSync(`${RESULTS}${result.scenario}.svg`, chartOf(result))
  if (results.length === 0 || !existsSync(README)) return
  const { cpu, cores, memory_gb, kernel, node, redis, socket_io, streams_adapter, data } = results[0]!.machine
  const machine = `Machine: ${cores} cores of ${cpu}, ${memory_gb} GB, Linux ${kernel}, data on ${data}; Node ${node}, Redis ${redis}, Socket.IO ${socket_io}, @socket.io/redis-streams-adapter ${streams_adapter}.
Figures are medians, with (least–most) of the rounds; ratios are Millrace : Socket.IO, of each round, then their median.`
  const text = readFileSync(README, 'utf8')
  const [before] = text.split('<!-- results -->')
  const [, after = ''] = text.split('<!-- /results -->')
  writeFileSync(README, `${before}<!-- results -->
${machine}

${results.map(sectionOf).join('\n')}
<!-- /results -->${after}`)
}
