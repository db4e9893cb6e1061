/**
 * What the dashboards are made of: a page is rows, each a question; a row is panels, each with what it means and what a bad value
 * asks for. Gives the JSON that Grafana 11 and later read (schema 39). Knows no metric.
 *
 * Readable on a phone: Grafana puts panels below each other there, so they are few, wide, and make sense one by one.
 */
const SCHEMA = 39
/** Grafana's grid has 24 columns. */
const COLUMNS = 24
const WIDE = 12
const HEIGHT = 8
const SMALL = { w: 8, h: 4 }
/** Where docs/runbooks is served from; one `sed` puts yours here and into alerts.yml (docs/OPERATIONS.md). */
export const RUNBOOKS = 'https://millrace.invalid/docs/runbooks'
export const PAGES = { overview: 'Millrace: overview', log: 'Millrace: log and delivery', projections: 'Millrace: projections and jobs' } as const
const SOURCE = { type: 'prometheus', uid: '$datasource' }

export type Json = Record<string, unknown>
/** A query, and the legend of what it gives. */
type Query = readonly [expr: string, legend: string]

export interface Panel {
  readonly title: string
  /** What it means, and what a bad value asks for. */
  readonly description: string
  readonly queries?: readonly Query[]
  /** Grafana's unit: `s`, `bytes`, `percentunit`, `ops`, `short`, … */
  readonly unit?: string
  /** From where on it is orange, and red; falling where the first is larger. */
  readonly warn?: number
  readonly bad?: number
  /** Below it, it is red. */
  readonly least?: number
  /** Of the y axis. */
  readonly max?: number
  /** Names of alerts, whose runbooks are linked. */
  readonly runbooks?: readonly string[]
  readonly as?: 'lines' | 'stacked' | 'number' | 'table' | 'alerts'
  /** Names for values: `{ 0: 'down', 1: 'up' }`. */
  readonly says?: Readonly<Record<number, string>>
}

export interface Row {
  /** A question. */
  readonly question: string
  readonly panels: readonly Panel[]
  /** Opened by who wants to know. */
  readonly closed?: boolean
}

export interface Page { readonly uid: string, readonly title: string, readonly description: string, readonly rows: readonly Row[] }

/** The metrics of the processes that were chosen above. */
export const CHOSEN = 'role=~"$role",instance=~"$instance"'
/** A quantile of a histogram of those processes. */
export function quantile (q: number, histogram: string, by = ''): string {
  return `histogram_quantile(${q}, sum by (le${by === '' ? '' : `, ${by}`}) (rate(${histogram}_bucket{${CHOSEN}}[$__rate_interval])))`
}
/** Per second, by a label. */
export function rate (counter: string, by = '', more = ''): string {
  return `sum${by === '' ? '' : ` by (${by})`} (rate(${counter}{${CHOSEN}${more === '' ? '' : `,${more}`}}[$__rate_interval]))`
}
/** Median and 99th percentile. */
export function quantiles (histogram: string): Query[] {
  return [[quantile(0.5, histogram), 'half within'], [quantile(0.99, histogram), '99 % within']]
}

export function dashboard ({ uid, title, description, rows }: Page): Json {
  let id = 0
  let y = 0
  const panels: Json[] = []
  for (const { question, panels: own, closed = false } of rows) {
    const row: Json = { id: ++id, type: 'row', title: question, collapsed: closed, gridPos: { x: 0, y: y++, w: COLUMNS, h: 1 }, panels: [] }
    let x = 0
    let lineHeight = 0
    const made: Json[] = []
    for (const panel of own) {
      const { w, h } = panel.as === 'number' ? SMALL : { w: panel.as === 'alerts' ? COLUMNS : WIDE, h: HEIGHT }
      if (x + w > COLUMNS || (x > 0 && h !== lineHeight)) {
        x = 0
        y += lineHeight
        lineHeight = 0
      }
      made.push({ id: ++id, ...panelOf(panel), gridPos: { x, y, w, h } })
      x += w
      lineHeight = Math.max(lineHeight, h)
    }
    y += lineHeight
    if (closed) panels.push({ ...row, panels: made })
    else panels.push(row, ...made)
  }
  return {
    uid,
    title,
    description,
    tags: ['millrace'],
    schemaVersion: SCHEMA,
    version: 1,
    editable: false,
    graphTooltip: 1,
    refresh: '10s',
    time: { from: 'now-1h', to: 'now' },
    timezone: 'browser',
    weekStart: '',
    fiscalYearStartMonth: 0,
    liveNow: false,
    annotations: { list: [RESTARTS] },
    links: [
      ...Object.entries(PAGES).map(([name, title]) => ({ type: 'link', title, url: `/d/millrace-${name}`, icon: 'dashboard', tooltip: '', tags: [], asDropdown: false, includeVars: true, keepTime: true, targetBlank: false })),
      { type: 'link', title: 'Runbooks', url: `${RUNBOOKS}/README.md`, icon: 'doc', tooltip: 'What each alert means and what to do', tags: [], asDropdown: false, includeVars: false, keepTime: false, targetBlank: true },
    ],
    templating: { list: VARIABLES },
    panels,
  }
}

const RESTARTS = {
  name: 'Processes that started',
  enable: true,
  hide: false,
  iconColor: 'blue',
  datasource: SOURCE,
  expr: 'changes(millrace_process_start_time_seconds{role=~"$role",instance=~"$instance"}[$__rate_interval]) > 0',
  titleFormat: '{{role}} {{instance}} started',
  step: '30s',
}

const choice = (name: string, label: string, query: string): Json => ({
  name,
  label,
  type: 'query',
  datasource: SOURCE,
  definition: query,
  query: { query, refId: `variable-${name}`, qryType: 1 },
  refresh: 2, // when the time range changes: instances come and go
  regex: '',
  sort: 1,
  multi: true,
  includeAll: true,
  current: { selected: true, text: ['All'], value: ['$__all'] },
  options: [],
  hide: 0,
  skipUrlSync: false,
})

const VARIABLES: Json[] = [
  { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus', regex: '', refresh: 1, multi: false, includeAll: false, current: { selected: true, text: 'Prometheus', value: 'prometheus' }, options: [], hide: 0, skipUrlSync: false },
  choice('role', 'Role', 'label_values(millrace_build_info, role)'),
  choice('instance', 'Instance', 'label_values(millrace_build_info{role=~"$role"}, instance)'),
]

function panelOf (panel: Panel): Json {
  const { title, description, queries = [], runbooks = [], as = 'lines' } = panel
  return {
    title,
    description,
    ...looks(panel),
    ...(as === 'alerts'
      ? {}
      : {
          datasource: SOURCE,
          targets: queries.map(([expr, legend], i) => ({
            refId: String.fromCharCode(65 + i),
            datasource: SOURCE,
            editorMode: 'code',
            expr,
            legendFormat: legend,
            instant: as === 'number' || as === 'table',
            range: as !== 'number' && as !== 'table',
            ...(as === 'table' ? { format: 'table' } : {}),
          })),
        }),
    links: runbooks.map(name => ({ title: `What to do: ${name}`, url: `${RUNBOOKS}/${name}.md`, targetBlank: true })),
  }
}

function thresholdsOf ({ warn, bad, least }: Panel): Json[] {
  if (least !== undefined) return [{ color: 'red', value: null }, { color: 'green', value: least }]
  if (warn !== undefined && bad !== undefined && warn > bad) return [{ color: 'red', value: null }, { color: 'orange', value: bad }, { color: 'green', value: warn }]
  return [{ color: 'green', value: null }, ...(warn === undefined ? [] : [{ color: 'orange', value: warn }]), ...(bad === undefined ? [] : [{ color: 'red', value: bad }])]
}

function looks (panel: Panel): Json {
  const { as = 'lines', unit = 'short', max, says } = panel
  const steps = thresholdsOf(panel)
  const thresholds = { mode: 'absolute', steps }
  const mappings = says === undefined ? [] : [{ type: 'value', options: Object.fromEntries(Object.entries(says).map(([value, text], index) => [value, { text, index }])) }]
  const common = { unit, min: 0, max, thresholds, mappings, noValue: 'none' }
  switch (as) {
    case 'alerts': return {
      type: 'alertlist',
      options: { viewMode: 'list', groupMode: 'default', groupBy: [], maxItems: 30, sortOrder: 3, dashboardAlerts: false, alertName: '', alertInstanceLabelFilter: '{alertname=~"Millrace.*"}', datasource: 'Prometheus', stateFilter: { firing: true, pending: true, noData: false, normal: false, error: true, recovering: true } },
    }
    case 'number': return {
      type: 'stat',
      fieldConfig: { defaults: { ...common, color: { mode: 'thresholds' } }, overrides: [] },
      options: { reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false }, orientation: 'auto', textMode: 'auto', wideLayout: true, colorMode: 'background', graphMode: 'none', justifyMode: 'auto', showPercentChange: false, percentChangeColorMode: 'standard' },
    }
    case 'table': return {
      type: 'table',
      fieldConfig: { defaults: { ...common, custom: { align: 'auto', cellOptions: { type: 'auto' }, inspect: false } }, overrides: [] },
      options: { showHeader: true, cellHeight: 'sm', footer: { show: false, reducer: ['sum'], countRows: false, fields: '' }, sortBy: [] },
      transformations: [{ id: 'organize', options: { excludeByName: { Time: true, __name__: true, job: true }, indexByName: {}, renameByName: {} } }],
    }
  }
  const custom = {
    drawStyle: 'line',
    lineInterpolation: 'linear',
    lineWidth: 1,
    fillOpacity: as === 'stacked' ? 30 : 8,
    gradientMode: 'none',
    showPoints: 'never',
    pointSize: 5,
    spanNulls: false,
    insertNulls: false,
    stacking: { mode: as === 'stacked' ? 'normal' : 'none', group: 'A' },
    axisPlacement: 'auto',
    axisLabel: '',
    axisColorMode: 'text',
    axisBorderShow: false,
    axisCenteredZero: false,
    barAlignment: 0,
    barWidthFactor: 0.6,
    scaleDistribution: { type: 'linear' },
    hideFrom: { tooltip: false, viz: false, legend: false },
    thresholdsStyle: { mode: steps.length === 1 ? 'off' : 'dashed' },
  }
  return {
    type: 'timeseries',
    fieldConfig: { defaults: { ...common, color: { mode: 'palette-classic' }, custom }, overrides: [] },
    options: { legend: { displayMode: 'table', placement: 'bottom', showLegend: true, calcs: ['lastNotNull', 'max'] }, tooltip: { mode: 'multi', sort: 'desc', hideZeros: false } },
  }
}
