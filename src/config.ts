/**
 * Configuration: the environment, checked once against one schema and frozen. The only reader of `process.env`.
 *
 * Every variable is named here with its unit, default and meaning; `.env.example` lists the same (a test compares them).
 * What is not given and has no default is `undefined`; an empty string counts as not given. A bad variable throws
 * `ConfigError`, whose message is one line that names the variable, what it is and what it must be.
 */
import Type, { type Static } from 'typebox'
import Value from 'typebox/value'

const text = (description: string, more = {}) => Type.Optional(Type.String({ description, ...more }))
const whole = (description: string, byDefault: number, minimum: number, maximum: number) =>
  Type.Integer({ description, default: byDefault, minimum, maximum })
const word = <const T extends string[]>(description: string, byDefault: T[number], words: [...T]) =>
  Type.Enum(words, { description, default: byDefault })

export const ConfigSchema = Type.Object({
  HOST: Type.String({ description: 'Address the gateway listens on.', default: '127.0.0.1' }),
  PORT: whole('TCP port of HTTP and WebSocket; 0 takes a free one.', 8080, 0, 65535),
  TRUST_PROXY: text('Load balancers whose X-Forwarded-For is believed: a comma-separated list of their addresses and CIDR ranges, or how many stand in a row if the last has a private address; without it nobody’s is.'),
  TLS_CERT: text('Path of a PEM file with the certificate, and those of its issuers behind it, for https and wss by the gateway itself; read again when it changes. Without it, http and ws: for behind a proxy that ends TLS.'),
  TLS_KEY: text('Path of a PEM file with the private key of that certificate, not encrypted.'),
  DATA_DIR: Type.String({ description: 'Where `npm start` keeps Redis, Postgres and the secrets that it made.', default: '.data' }),
  REDIS_URL: text('redis:// or rediss:// URL; without it `npm start` runs a private Redis.', { pattern: '^rediss?://.+' }),
  DATABASE_URL: text('postgres:// URL; without it `npm start` runs an embedded Postgres.', { pattern: '^postgres(ql)?://.+' }),
  JWT_PRIVATE_KEY: text('Ed25519 private key that signs access tokens: PKCS#8 PEM, or the base64 of it. Made and kept in DATA_DIR if not given.'),
  PARTITIONS: whole('Partitions that rooms are dealt to; set once per deployment.', 128, 1, 4096),
  GUESTS: word('`off` lets nobody sign up as a guest, without a password.', 'on', ['on', 'off']),
  AUTH_JWKS_URL: text('http(s):// URL of the public keys (a JWK set) of another issuer, whose access tokens are then taken as well as our own.'),
  AUTH_ISSUER: text('What the claim `iss` of that issuer’s tokens must be; without it, anything but ours.'),
  AUTH_AUDIENCE: text('What the claim `aud` of that issuer’s tokens must be or contain; without it, anything: set it unless the issuer has one audience.'),
  AUTH_CLAIM_USER: Type.String({ description: 'Claim of that issuer’s tokens that names a user and never changes.', default: 'sub' }),
  AUTH_CLAIM_NAME: Type.String({ description: 'Claim of that issuer’s tokens that becomes the user name of a new user.', default: 'preferred_username' }),
  LOG_LEVEL: word('Least severe log line that is written; `npm start` writes from `warn` on unless this is set.', 'info', ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
  OTEL_EXPORTER_OTLP_ENDPOINT: text('http(s):// URL that traces are sent to (OTLP); without it none are made.'),
  OTEL_TRACES_SAMPLER_ARG: Type.String({ description: 'Part of the frames and requests of clients that are traced, 0 to 1.', default: '0.05' }),
  RATE_LIMITS: word('`off` lifts rate limits and the caps on connections and upgrades (for benches).', 'on', ['on', 'off']),

  CONNECTIONS_MAX: whole('Sockets and event streams that one gateway accepts.', 15000, 1, 1000000),
  CONNECTIONS_PER_USER_MAX: whole('Sockets and event streams of one user on one gateway.', 50, 1, 100000),
  UPGRADES_PER_SECOND: whole('WebSocket upgrades that one gateway admits per second (bursts of twice that).', 500, 1, 100000),
  FRAMES_PER_SECOND: whole('Frames per second that one socket may send (bursts of five times that).', 200, 1, 100000),
  FRAME_BYTES_MAX: whole('Largest frame from a client, in bytes; larger ones close with 1009.', 65536, 1024, 16777216),
  BAD_FRAMES_MAX: whole('Bad frames of one socket before it is closed with 4204.', 20, 1, 100000),
  OUTBOX_BYTES_MAX: whole('Bytes that may wait for one socket or event stream before it is closed with 4002.', 1048576, 16384, 1073741824),
  SUBSCRIPTIONS_MAX: whole('Rooms that one socket may subscribe to.', 2000, 1, 100000),
  COMMANDS_IN_FLIGHT_MAX: whole('Commands of one socket that may be under way; beyond it the socket is not read until one is answered.', 256, 1, 100000),
  RESUMES_MAX: whole('Rooms for which one gateway reads at the same time, to catch clients up; more wait, up to RESUMES_QUEUED_MAX.', 64, 1, 100000),
  RESUMES_QUEUED_MAX: whole('Catch-ups that may wait on one gateway before `busy` is answered.', 20000, 1, 1000000),
  COMMANDS_QUEUED_MAX: whole('Commands of one room that may wait on one gateway before `overloaded` is answered.', 10000, 1, 1000000),
  ROOMS_CACHED_MAX: whole('Rooms whose state one gateway keeps in memory.', 20000, 100, 10000000),
  LINGER_S: whole('Seconds for which a gateway goes on following a room after its last subscriber there has left, and keeps what comes: most come back. 0: not at all.', 30, 0, 3600),
  HELLO_MS: whole('Milliseconds a new socket has to say hello.', 5000, 100, 60000),
  HEARTBEAT_MS: whole('Milliseconds between heartbeats; a socket that gives no sign of life from one to the next is closed with 4003.', 25000, 100, 25000),
  PRESENCE_LEASE_MS: whole('Milliseconds after which the people of a gateway that died are offline (and at most a tenth more); leases are renewed in a third of it.', 25000, 500, 25000),
  PRESENCE_ROOM_MAX: whole('Members of a room up to which its subscribers are told who comes and goes.', 200, 0, 100000),
  MARKS_ROOM_MAX: whole('Members of a room up to which read and delivered marks are told to its subscribers.', 500, 0, 100000),
  HEADS_COMPARE_MS: whole('Milliseconds between two comparisons of the heads of subscribed rooms.', 5000, 50, 60000),
  DRAIN_MS: whole('Milliseconds that a stopping process gives to what is under way.', 4000, 100, 60000),

  SENDS_PER_SECOND: whole('Messages, edits, deletes and reactions that one user may send per second, over all gateways.', 50, 1, 100000),
  SENDS_BURST: whole('How many of them one user may send at once.', 250, 1, 1000000),
  ROOM_SENDS_PER_SECOND: whole('Messages, edits, deletes and reactions that one room takes per second, of all users and over all gateways.', 500, 1, 100000),
  ROOM_SENDS_BURST: whole('How many of them one room takes at once.', 2000, 1, 1000000),
  REQUESTS_PER_SECOND: whole('HTTP requests that one user may make per second, over all gateways.', 100, 1, 100000),
  REQUESTS_BURST: whole('How many of them one user may make at once.', 400, 1, 1000000),
  ANONYMOUS_REQUESTS_PER_SECOND: whole('HTTP requests without a valid token that one address may make per second, over all gateways.', 100, 1, 100000),
  ANONYMOUS_REQUESTS_BURST: whole('How many of them one address may make at once.', 1000, 1, 1000000),
  ADDRESS_UPGRADES_PER_SECOND: whole('WebSocket upgrades that one address may make per second, over all gateways.', 100, 1, 100000),
  ADDRESS_UPGRADES_BURST: whole('How many of them one address may make at once.', 1000, 1, 1000000),
  SIGNUPS_PER_MINUTE: whole('Sign-ups, guests included, from one address per minute, over all gateways.', 300, 1, 1000000),
  SIGNUPS_BURST: whole('How many of them one address may make at once.', 300, 1, 1000000),
  LOGINS_PER_MINUTE: whole('Log-ins from one address per minute, over all gateways.', 600, 1, 1000000),
  LOGINS_BURST: whole('How many of them one address may make at once.', 300, 1, 1000000),
  LOGIN_FAILURES_PER_MINUTE: whole('Wrong passwords for one user name per minute, over all gateways and addresses.', 6, 1, 1000000),
  LOGIN_FAILURES_BURST: whole('How many of them one user name may have at once.', 10, 1, 1000000),
  ROOM_PASSWORDS_PER_MINUTE: whole('Guesses of the password of one room by one user, per minute.', 10, 1, 1000000),
  ROOM_PASSWORDS_BURST: whole('Such guesses at once.', 10, 1, 1000000),

  ACCESS_TOKEN_S: whole('Lifetime of an access token, in seconds.', 900, 5, 86400),
  REFRESH_TOKEN_S: whole('Lifetime of a refresh token, in seconds.', 2592000, 60, 31536000),

  POSTGRES_CONNECTIONS_MAX: whole('Connections to Postgres of one process.', 10, 2, 1000),
  PROJECTOR_BATCH_EVENTS: whole('Events that a projection applies in one transaction, at most.', 4000, 1, 10000),
  LEASE_MS: whole('Milliseconds a projector may be silent before its partitions move to another.', 8000, 500, 60000),
  SWEEP_MS: whole('Milliseconds between two sweeps of a projector over all heads of its partitions.', 10000, 100, 600000),

  HOT_EVENTS: whole('Newest events of each room that stay in Redis when the archive has them.', 1000, 0, 1000000),
  HOT_EVENTS_MAX: whole('Most events of a room that stay because they are young (HOT_S).', 10000, 0, 10000000),
  HOT_S: whole('Seconds for which events stay in Redis, up to HOT_EVENTS_MAX.', 900, 0, 604800),
  EVICT_S: whole('Seconds without an event after which Redis lets go of a room, but for its head; it comes back by itself.', 86400, 1, 31536000),

  NOTIFY_DELAY_S: whole('Seconds that a message waits for its reader to come back before they are told by Web Push or webhook.', 30, 0, 86400),
  NOTIFY_PREVIEW: word('`off` leaves the text of messages out of pushes and webhooks.', 'on', ['on', 'off']),
  VAPID_PRIVATE_KEY: text('Private key by which push services know this deployment: P-256, 32 bytes, base64url. Without it one is made at the first start and kept in Postgres.'),
  VAPID_SUBJECT: Type.String({ description: 'mailto: or https: URL at which push services find the operator; some refuse one that leads nowhere.', default: 'mailto:operator@millrace.invalid' }),
  WEBHOOK_ALLOW_PRIVATE: word('`on` lets webhooks and push services have addresses that are not public, and http: for intranets and tests.', 'off', ['on', 'off']),
  WEBHOOK_RETRIES: whole('Retries of a webhook delivery before it is given up; pauses between them double from NOTIFY_RETRY_S on, up to four hours.', 12, 0, 100),
  NOTIFY_RETRY_S: whole('Seconds before the first retry of a push or webhook delivery.', 20, 1, 3600),
  WEBHOOK_DISABLE_DAYS: whole('Days of nothing but failures after which a webhook is switched off.', 5, 1, 365),
  EXPORT_DIR: text('Directory for the exports that operators ask for over HTTP, the same for gateways and jobs; without it there are none.'),
  EXPORT_KEEP_H: whole('Hours after which the file of an export is removed.', 72, 1, 8760),
  RETENTION_DAYS: whole('Days for which messages are kept; then their content is erased, and their place stays. 0 keeps them for ever.', 0, 0, 36500),

  OPS_HOST: Type.String({ description: 'Address of the health and metrics port of a process without gateway.', default: '127.0.0.1' }),
  OPS_PORT: whole('Port of health and metrics of a process without gateway; 0 takes a free one.', 9465, 0, 65535),
  METRICS_FROM: text('Comma-separated URLs of other processes whose metrics this gateway adds to its own /metrics.'),
})

const properties = ConfigSchema.properties as unknown as Record<string, Record<string, unknown>>

/** The checked environment. Units are in the names (`_MS`, `_S`, `_BYTES`); see `ConfigSchema` for each. */
export type Config = Readonly<Static<typeof ConfigSchema>>

/** The environment is wrong. `message` is one line for a person: which variable, what it is, what it must be. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/**
 * Checks `env` (default `process.env`) and returns a frozen Config. Variables that the schema does not name are ignored.
 * Throws ConfigError on the first bad one.
 */
export function loadConfig (env: Record<string, string | undefined> = process.env): Config {
  const given: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(properties)) {
    const value = env[name]
    if (value === undefined || value === '') {
      if ('default' in schema) given[name] = schema.default
    } else {
      given[name] = schema.type === 'integer' && /^-?\d{1,15}$/.test(value) ? Number(value) : value
    }
  }
  const [error] = Value.Errors(ConfigSchema, given)
  if (error !== undefined) {
    const name = error.instancePath.slice(1)
    const schema = properties[name] ?? {}
    const secret = /URL|KEY|FROM/.test(name) // URLs carry passwords
    throw new ConfigError(`${name}${secret ? '' : `=${JSON.stringify(env[name])}`} is not valid: ${mustBe(schema)}. ${String(schema.description ?? '')}`)
  }
  return Object.freeze(given as Static<typeof ConfigSchema>)
}

function mustBe (schema: Record<string, unknown>): string {
  if (schema.enum !== undefined) return `it must be one of ${(schema.enum as string[]).join(', ')}`
  if (schema.type === 'integer') return `it must be a whole number from ${String(schema.minimum)} to ${String(schema.maximum)}`
  if (schema.pattern !== undefined) return `it must match ${String(schema.pattern)}`
  return 'it must be text'
}
