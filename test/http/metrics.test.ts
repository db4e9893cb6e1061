import t from 'tap'
import { testStack } from './stack.ts'
import { until } from '../until.ts'

const stack = await testStack(t)
const { get, post, call, metrics } = stack
const { user, access_token } = (await post('/auth/guest', { username: 'ann' })).body

/** `method route status` → requests. */
async function requests (): Promise<Record<string, number>> {
  const { values } = await metrics.httpRequests.get()
  return Object.fromEntries(values.map(({ labels: { method, route, status }, value }) => [`${method} ${route} ${status}`, value]))
}

t.test('requests are counted and timed by the pattern of their route, never by an ID', async t => {
  await until(async () => (await requests())['POST /auth/guest 201'] === 1)
  const before = await requests()
  const room = (await post('/rooms', { name: 'a room', kind: 'public' }, access_token)).body.id
  await get(`/rooms/${room}?token=hush`, access_token)
  await get('/rooms/lobby', access_token)
  await get('/rooms/019abc00-0000-7000-8000-000000000001', access_token)
  await get(`/users/${user.id}`)
  await get(`/nothing/${room}`)
  await call('DELETE', `/nothing/${room}`, { token: access_token })
  await get(`/rooms/%zz${room}`, access_token)
  await get(`/rooms/${'x'.repeat(300)}`, access_token)
  const wanted = {
    'POST /rooms 201': 1,
    'GET /rooms/:id 200': 2,
    'GET /rooms/:id 404': 1,
    'GET /users/:id 401': 1,
    'GET unknown 404': 2,
    'DELETE unknown 404': 1,
    'GET unknown 400': 1,
  }
  const total = (counts: Record<string, number>): number => Object.values(counts).reduce((a, b) => a + b, 0)
  await until(async () => total(await requests()) >= total(before) + total(wanted)) // counted after the answer is sent
  t.same(await requests(), { ...before, ...wanted })

  const { body } = await get('/metrics')
  t.match(body, /^millrace_http_requests_total\{method="GET",route="\/rooms\/:id",status="200",role="gateway"\} 2$/m)
  t.match(body, /^millrace_http_request_seconds_count\{route="\/rooms\/:id",role="gateway"\} 3$/m)
  t.match(body, /^# TYPE millrace_http_request_seconds histogram$/m)
  t.notMatch(body, new RegExp(`${room}|${user.id}|hush|lobby|zz`))
})
