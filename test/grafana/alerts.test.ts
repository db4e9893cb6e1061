// The rules are ones that Prometheus takes, and every alert has cases in grafana/alerts.test.yml: when it is quiet and when it fires.
import { spawnSync } from 'node:child_process'
import t from 'tap'
import { parse } from 'yaml'
import { programOf } from '../ship/compose.ts'
import { ALERTS, read, ROOT, withoutPrometheus } from './files.ts'

interface Case { alertname: string, exp_alerts: object[] }

t.test('every alert has a case in which it is quiet, and one in which it fires', async t => {
  const { tests } = parse(read('grafana/alerts.test.yml')) as { tests: Array<{ alert_rule_test: Case[] }> }
  const cases = tests.flatMap(({ alert_rule_test }) => alert_rule_test)
  for (const { alert } of ALERTS) {
    const own = cases.filter(({ alertname }) => alertname === alert)
    t.ok(own.some(({ exp_alerts }) => exp_alerts.length === 0), `${alert} is quiet`)
    t.ok(own.some(({ exp_alerts }) => exp_alerts.length > 0), `${alert} fires`)
  }
  t.same(cases.filter(({ alertname }) => !ALERTS.some(({ alert }) => alert === alertname)), [])
})

t.test('promtool finds the rules well, and the cases hold', { skip: withoutPrometheus() }, async t => {
  for (const args of [['check', 'rules', 'grafana/alerts.yml'], ['test', 'rules', 'grafana/alerts.test.yml']]) {
    const { status, stdout, stderr } = spawnSync(programOf('promtool') ?? 'promtool', args, { cwd: ROOT, encoding: 'utf8' })
    t.equal(status, 0, `${args.join(' ')}: ${stdout}${stderr}`)
  }
})
