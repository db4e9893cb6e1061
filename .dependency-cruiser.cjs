/**
 * The import rule of docs/ARCHITECTURE.md, held by `npm run check`: imports point down only, siblings do not
 * import each other, and each outside library has one door.
 */
const LAYERS = [
  // each layer may import itself and any layer below it
  ['entry', '^src/(main\\.ts|roles/|cli/)'],
  ['edges', '^(src/(gateway|http|jobs)/|projections/)'],
  ['shell', '^src/(commands|auth|limits|operations)/'],
  ['stores', '^src/(store|log)/'],
  ['base', '^src/(telemetry/|config\\.ts|lifecycle\\.ts|ids\\.ts|waiting-line\\.ts|version\\.ts)'],
  ['domain', '^src/domain/'],
]

const upward = LAYERS.flatMap(([name, path], i) => LAYERS.slice(0, i).map(([above, abovePath]) => ({
  name: `${name}-must-not-import-${above}`,
  severity: 'error',
  from: { path },
  to: { path: abovePath },
})))

const siblings = [
  ['src/gateway/', 'src/http/', 'src/jobs/', 'projections/'],
  ['src/commands/', 'src/auth/'],
  ['src/store/', 'src/log/'],
].flatMap(group => group.flatMap(a => group.filter(b => b !== a).map(b => ({
  name: `${a.replaceAll('/', '-')}must-not-import-${b}`,
  severity: 'error',
  from: { path: `^${a}` },
  to: { path: `^${b}` },
}))))

const door = (name, library, allowed) => ({
  name,
  severity: 'error',
  from: { path: '^(src|projections)/', pathNot: allowed },
  to: { path: `^node_modules/(${library})/` },
})

module.exports = {
  forbidden: [
    ...upward,
    ...siblings,
    { name: 'no-circular', severity: 'error', from: { path: '^(src|projections)/' }, to: { circular: true } },
    { name: 'domain-is-pure', severity: 'error', from: { path: '^src/domain/' }, to: { pathNot: '^(src/domain/|node_modules/typebox/)' } },
    { name: 'client-stands-alone', severity: 'error', from: { path: '^src/client/' }, to: { pathNot: '^src/client/' } },
    { name: 'client-is-for-others', severity: 'error', from: { path: '^(src|projections)/', pathNot: '^src/client/' }, to: { path: '^src/client/' } },
    { name: 'no-tests-in-the-product', severity: 'error', from: { path: '^(src|projections)/' }, to: { path: '^(test|bench)/' } },
    { name: 'dev-is-for-entries-and-tests', severity: 'error', from: { path: '^(src|projections)/', pathNot: '^src/(cli|dev)/' }, to: { path: '^src/dev/' } },
    { name: 'no-dev-dependencies-in-the-product', severity: 'error', from: { path: '^(src|projections)/', pathNot: '^src/dev/' }, to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] } },
    door('ioredis-through-log', 'ioredis', '^src/(log|dev)/'),
    door('pg-through-the-pool', 'pg', '^src/(store/(pool|reader|migrate)\\.ts|dev/)'),
    door('jwt-in-auth-and-http', '@fastify/jwt', '^src/(auth|http)/'),
    door('fast-jwt-through-fastify-jwt', 'fast-jwt', '^$'),
    door('jose-in-auth', 'jose', '^src/auth/'),
    door('cookies-in-http', '@fastify/cookie', '^src/http/'),
    door('reference-in-http', '@fastify/swagger|@fastify/swagger-ui', '^src/http/'),
    door('ws-in-the-gateway', 'ws|@fastify/websocket', '^src/(gateway|cli)/'),
    { name: 'not-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types', 'default'] },
    moduleSystems: ['es6', 'cjs'],
  },
}
