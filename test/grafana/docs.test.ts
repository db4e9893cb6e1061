// Dashboards, alerts and runbooks are held to the code and to each other: what one names, the other has.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { built } from '../../grafana/build.ts'
import { RUNBOOKS as BASE } from '../../grafana/panels.ts'
import { ConfigSchema } from '../../src/config.ts'
import { ALERTS, DASHBOARDS, dashboardOf, exists, metricOf, METRICS, namesIn, panelsOf, QUERIES, read, ROOT, RULES, RUNBOOKS, type Json } from './files.ts'

t.test('the dashboards are what grafana/build.ts makes', async t => {
  const made = built()
  t.same([...made.keys()].sort(), DASHBOARDS)
  for (const [name, text] of made) t.ok(read(`grafana/dashboards/${name}`) === text, `${name}: run node grafana/build.ts`)
})

t.test('a row asks a question; a panel says what it means, and has a unit, a title of its own and a place', async t => {
  for (const file of DASHBOARDS) {
    const dashboard = dashboardOf(file)
    const rows = dashboard.panels.filter(({ type }: Json) => type === 'row')
    const panels = panelsOf(dashboard)
    t.equal(`${dashboard.uid}.json`, file)
    t.ok(dashboard.schemaVersion >= 39 && rows.length >= 5, file)
    for (const { title } of rows) t.match(title, /^[A-Z].*\?$/, title)
    for (const { title, description, type, fieldConfig, targets, gridPos } of panels) {
      t.match(description, /^.{20,}[.!)]$/, `${title}: ${description}`)
      t.ok(gridPos.w >= 8, `${title} is wide enough`)
      if (type !== 'alertlist') t.ok(fieldConfig.defaults.unit !== undefined && targets.length > 0 && targets.length <= 6, title)
      if (type !== 'alertlist') t.ok(fieldConfig.defaults.thresholds.steps.length > 0, title)
    }
    const both = [...rows, ...panels]
    t.equal(new Set(both.map(({ id }: Json) => id)).size, both.length, 'no ID is given twice')
    t.equal(new Set(panels.map(({ title }: Json) => title)).size, panels.length, 'no title either')
    const shown = dashboard.panels as Json[]
    for (const one of shown) t.notOk(shown.some(other => other !== one && overlap(one.gridPos, other.gridPos)), `${one.title} covers no other`)
  }
})

function overlap (one: Json, other: Json): boolean {
  return one.x < other.x + other.w && other.x < one.x + one.w && one.y < other.y + other.h && other.y < one.y + one.h
}

t.test('the pages lead to each other, and panels to runbooks that there are', async t => {
  const uids = DASHBOARDS.map(file => dashboardOf(file).uid)
  for (const file of DASHBOARDS) {
    const dashboard = dashboardOf(file)
    const urls: string[] = dashboard.links.map(({ url }: Json) => url)
    for (const uid of uids) t.ok(urls.includes(`/d/${uid}`), `${file} leads to ${uid}`)
    t.ok(urls.includes(`${BASE}/README.md`))
    const linked: string[] = panelsOf(dashboard).flatMap(({ links }) => links.map(({ url }: Json) => url))
    for (const url of linked) t.ok(url.startsWith(`${BASE}/`) && RUNBOOKS.includes(url.slice(BASE.length + 1, -3)), url)
  }
})

t.test('every panel asks for metrics that there are, and every metric is on a dashboard', async t => {
  const shown = new Set<string | undefined>()
  for (const { dashboard, panel, expr } of QUERIES) {
    for (const name of namesIn(expr)) {
      t.ok(exists(name), `${dashboard}, ${panel}: ${name}`)
      shown.add(metricOf(name))
    }
  }
  for (const name of METRICS.keys()) t.ok(shown.has(name), `${name} is on a dashboard`)
})

t.test('every rule asks for metrics that there are; every alert says how bad it is and what to do', async t => {
  for (const { expr } of RULES) for (const name of namesIn(expr)) t.ok(exists(name), `${expr}: ${name}`)
  t.equal(new Set(ALERTS.map(({ alert }) => alert)).size, ALERTS.length)
  for (const { alert, labels, annotations } of ALERTS) {
    t.match(alert, /^Millrace[A-Z]\w+$/)
    t.match(labels, { severity: /^(critical|warning)$/ }, alert)
    t.match(annotations, { summary: /^.{10,}[^.]$/, description: /^.{20,}\.$/ }, alert)
    t.equal(annotations.runbook_url, `${BASE}/${alert}.md`)
  }
})

t.test('every alert has a runbook, and docs/OPERATIONS.md and the list of runbooks have exactly these', async t => {
  const names = ALERTS.map(({ alert }) => alert).sort()
  t.same(RUNBOOKS, names)
  const severities = Object.fromEntries(ALERTS.map(({ alert, labels }) => [alert, labels.severity]))
  const [, section = ''] = /^## Alerts$([^]*?)(?=^## |(?![^]))/m.exec(read('docs/OPERATIONS.md')) ?? []
  const rows = [...section.matchAll(/^\| \[`(\w+)`\]\(runbooks\/(\w+)\.md\) \| (\w+) \| (.+) \|$/gm)]
  t.same(Object.fromEntries(rows.map(([, name, , severity]) => [name, severity])), severities)
  t.same(rows.map(([, , file]) => file).sort(), names, 'the table leads to them')
  const listed = [...read('docs/runbooks/README.md').matchAll(/\[(\w+)\]\((\w+)\.md\)/g)]
  t.same(listed.map(([, , file]) => file).sort(), names)
})

t.test('a runbook says what it means, what users see, how to look, how to mend, what not to do; and names nothing that is not there', async t => {
  const commands = new Set([...read('src/cli/millrace.ts').matchAll(/^ {2}(\w+): \{$/gm)].map(([, name]) => name))
  for (const name of RUNBOOKS) {
    const text = read(`docs/runbooks/${name}.md`)
    const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading)
    t.same(headings, [name, 'What it means', 'What users see', 'How to look', 'How to mend it', 'What not to do'], name)
    for (const metric of namesIn(text)) t.ok(exists(metric), `${name}: ${metric}`)
    for (const [, command] of text.matchAll(/npx millrace (\w+)/g)) t.ok(commands.has(command), `${name}: millrace ${command}`)
    for (const [, setting] of text.matchAll(/`([A-Z]{2,}(?:_[A-Z]+)+)`/g)) t.ok(setting! in ConfigSchema.properties, `${name}: ${setting}`)
    for (const [, path] of text.matchAll(/\]\((?!http)([^)#]+)/g)) t.ok(existsSync(join(ROOT, 'docs/runbooks', path!)), `${name}: ${path}`)
    t.match(text, /```promql\n/, `${name} has a query`)
    t.match(text, /npx millrace (status|doctor|verify|park)/, `${name} has a command`)
  }
})
