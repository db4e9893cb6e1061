// Frames made from the schemas of `src/gateway/frames.ts`: one good example of each type, with every field; all that can be wrong
// with each of its fields; and arbitrary good and mutated ones for fast-check. A new frame or field is covered as soon as it has
// a schema; one whose kind of value is unknown here fails the tests that use this.
import fc from 'fast-check'
import { ClientFrames } from '../../src/gateway/frames.ts'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type Bag = { [key: string]: Json }

/** What of JSON Schema the frames use. */
interface Schema {
  type?: string
  const?: string
  properties?: Record<string, Schema>
  patternProperties?: Record<string, Schema>
  enum?: string[]
  required?: string[]
  items?: Schema
  maxItems?: number
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  pattern?: string
  format?: string
}

export const SCHEMAS = ClientFrames as unknown as Record<string, Schema>
export const NOWHERE = '019abc00-0000-7000-8000-000000000001'
const CHAIN = '0123456789abcdef'

const isRoomId = ({ pattern = '' }: Schema): boolean => pattern.includes('lobby')
/** Texts of which one fits every other pattern that a field may have. */
const TEXTS = ['text', NOWHERE, CHAIN, 'https://example.org/a.png', 'image/png']

function textOf ({ format, pattern = '' }: Schema): string {
  if (format === 'uuid') return NOWHERE
  const fits = TEXTS.find(text => new RegExp(pattern, 'u').test(text))
  if (fits === undefined) throw new Error(`no text that fits ${pattern}`)
  return fits
}

/** A good value with every optional field. */
function exampleOf (schema: Schema): Json {
  if (schema.const !== undefined) return schema.const
  if (schema.enum !== undefined) return schema.enum[0]!
  switch (schema.type) {
    case 'object': {
      if (schema.patternProperties !== undefined) return { [NOWHERE]: exampleOf(Object.values(schema.patternProperties)[0]!) }
      return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, field]) => [name, exampleOf(field)]))
    }
    case 'array': return [exampleOf(schema.items!)]
    case 'boolean': return true
    case 'number': case 'integer': return 7
    case 'string': return textOf(schema)
    default: throw new Error(`no example of ${JSON.stringify(schema)}`)
  }
}

/** A good frame of each type, with every field that there is. */
export const EXAMPLES: Record<string, Bag> = Object.fromEntries(Object.entries(SCHEMAS).map(([type, schema]) => [type, exampleOf(schema) as Bag]))

/** Values that do not fit the schema. */
function wrongFor (schema: Schema): Json[] {
  const kinds: Record<string, Json> = { null: null, boolean: true, number: 1.5, string: 'wrong', array: [], object: {} }
  const fits = schema.type === 'integer' ? ['number'] : [schema.type ?? 'string']
  const wrong: Json[] = Object.entries(kinds).filter(([kind]) => !fits.includes(kind)).map(([, value]) => value)
  switch (schema.type) {
    case 'integer': wrong.push(-1, 1.5, 2 ** 53, -(2 ** 53), 1e300); break
    case 'number': wrong.push(2 ** 53, -(2 ** 53), 1e300); break
    case 'array': wrong.push(Array.from({ length: (schema.maxItems ?? 0) + 1 }, () => exampleOf(schema.items!))); break
    case 'string':
      if (schema.minLength !== undefined || schema.pattern !== undefined || schema.format !== undefined) wrong.push('')
      if (schema.maxLength !== undefined) wrong.push('x'.repeat(schema.maxLength + 1))
      if (isRoomId(schema) || schema.format === 'uuid') wrong.push(`${NOWHERE}\n`, ` ${NOWHERE}`, NOWHERE.slice(1), 'Lobby', '*', '{0}:room', '../lobby')
      if (schema.pattern?.includes('{16}') === true) wrong.push(CHAIN.toUpperCase(), CHAIN.slice(1), `${CHAIN}0`)
      if (schema.pattern?.includes('u0000') === true) wrong.push('a\u0000b', '\u0000', '\ud800', 'half \udc00', '\udc00\ud800')
      break
    case 'object':
      if (schema.patternProperties !== undefined) wrong.push(...['', 'room', '__proto__', 'constructor', `${NOWHERE}0`].map(key => own(key, { seq: 0 })))
  }
  return wrong
}

/** An object whose only property has this name, even if it is `__proto__`. */
export function own (name: string, value: Json): Bag {
  const bag = Object.create(Object.prototype) as Bag
  return Object.defineProperty(bag, name, { value, enumerable: true, configurable: true, writable: true })
}

type Path = readonly string[]

/** Paths of all fields below a schema, through objects, maps and lists, with their schemas. */
function fieldsOf (schema: Schema, path: Path = []): Array<{ path: Path, schema: Schema, required: boolean }> {
  const below = (name: string, field: Schema, required: boolean) => [{ path: [...path, name], schema: field, required }, ...fieldsOf(field, [...path, name])]
  if (schema.patternProperties !== undefined) return below(NOWHERE, Object.values(schema.patternProperties)[0]!, false)
  if (schema.type === 'array') return below('0', schema.items!, false)
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => below(name, field, schema.required?.includes(name) ?? false))
}

/** A copy with the value at the path replaced, or taken out (undefined). */
function withAt (value: Json, [name, ...rest]: Path, replaced: Json | undefined): Json {
  const copy = structuredClone(value) as Bag
  if (rest.length > 0) copy[name!] = withAt(copy[name!]!, rest, replaced)
  else if (replaced === undefined) delete copy[name!]
  else copy[name!] = replaced
  return copy
}

export interface BadFrame { readonly what: string, readonly frame: Bag, readonly field: string }

/** Every field of every frame: left out where it is required, and with all values that are wrong for it. */
export function badFrames (): BadFrame[] {
  return Object.entries(SCHEMAS).flatMap(([type, schema]) => fieldsOf(schema).flatMap(({ path, schema: field, required }) => {
    if (path.length === 1 && path[0] === 'type') return []
    const name = path.join('.')
    const wrong = wrongFor(field).map(value => ({ what: `${type} with ${name} = ${JSON.stringify(value).slice(0, 60)}`, frame: withAt(EXAMPLES[type]!, path, value) as Bag, field: name }))
    return required ? [...wrong, { what: `${type} without ${name}`, frame: withAt(EXAMPLES[type]!, path, undefined) as Bag, field: name }] : wrong
  }))
}

/** Text that is no frame at all. */
export const NO_FRAMES: readonly string[] = [
  '', ' ', 'hello', '{', '}', '{"type":"ping"', '{"type":"ping"}}', "{'type':'ping'}", '{"type":"ping",}', '{type:"ping"}', '\u0000', '\ufeff{"type":"ping"}',
  '{"type":"ping"}{"type":"ping"}', '{"type":"ping","ref":NaN}', '{"type":"ping","ref":0x10}', '{"type":"ping","ref":01}', '<frame type="ping"/>', 'type=ping', '💥',
  'null', 'true', '7', '"ping"', '[]', '[{"type":"ping"}]', '{}', '{"ref":1}', '{"type":null}', '{"type":7}', '{"type":["ping"]}', '{"type":{}}', '{"type":""}', '{"type":"Ping"}',
  '{"type":"ping "}', '{"type":"nonsense"}', '{"type":"welcome"}', '{"type":"ack","ref":1}', '{"type":"heartbeat"}', '{"type":"__proto__"}', '{"type":"constructor"}', '{"type":"toString"}',
  '{"__proto__":{"type":"ping"}}', '{"constructor":{"prototype":{"type":"ping"}}}', `{"type":"${'x'.repeat(60_000)}"}`,
]

const anyText = fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }).filter(text => !text.includes('\u0000'))

/** Good values of a schema. `rooms` are the IDs that rooms are named by. */
function arbitraryOf (schema: Schema, rooms: readonly string[]): fc.Arbitrary<Json> {
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
  switch (schema.type) {
    case 'boolean': return fc.boolean()
    case 'integer': return fc.oneof(fc.nat(50), fc.nat(), fc.constantFrom(0, Number.MAX_SAFE_INTEGER))
    case 'number': return fc.oneof(fc.maxSafeInteger(), fc.double({ min: -1e9, max: 1e9, noNaN: true }))
    case 'array': return fc.array(arbitraryOf(schema.items!, rooms), { maxLength: 5 })
    case 'object': {
      if (schema.patternProperties !== undefined) return fc.dictionary(fc.constantFrom(...rooms), arbitraryOf(Object.values(schema.patternProperties)[0]!, rooms), { maxKeys: 3, noNullPrototype: true })
      const fields = Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, field]) => [name, arbitraryOf(field, rooms)]))
      return fc.record(fields, { requiredKeys: schema.required ?? [], noNullPrototype: true }) as fc.Arbitrary<Json>
    }
    case 'string':
      if (isRoomId(schema)) return fc.constantFrom(...rooms)
      if (schema.format === 'uuid') return fc.uuid()
      if (schema.pattern?.includes('{16}') === true) return fc.stringMatching(/^[0-9a-f]{16}$/)
      if (schema.pattern !== undefined && !schema.pattern.startsWith('^[^')) return fc.constant(textOf(schema)) // a UUID, a URL, a media type
      if (schema.pattern !== undefined) {
        const fits = new RegExp(schema.pattern, 'u')
        return anyText.map(text => fits.test(text) ? text : 'text')
      }
      return anyText
    default: throw new Error(`no arbitrary for ${JSON.stringify(schema)}`)
  }
}

/** Good frames of all types. */
export function goodFrame (rooms: readonly string[]): fc.Arbitrary<Bag> {
  return fc.oneof(...Object.entries(SCHEMAS).map(([type, schema]) => (arbitraryOf(schema, rooms) as fc.Arbitrary<Bag>).map(frame => withOneOf(type, frame, rooms))))
}

/** Of these, one must be there; each alone is optional. */
const ONE_OF: Record<string, readonly string[]> = { message: ['room_id', 'recipient'], read: ['seq', 'message_id'], edit: ['message_seq', 'message_id'], delete: ['message_seq', 'message_id'], react: ['message_seq', 'message_id'], unreact: ['message_seq', 'message_id'] }

function withOneOf (type: string, frame: Bag, rooms: readonly string[]): Bag {
  const [first, second] = ONE_OF[type] ?? []
  if (first === undefined || Object.hasOwn(frame, first) || Object.hasOwn(frame, second!)) return frame
  return { ...frame, [first]: first === 'room_id' ? rooms[0]! : 1 }
}

const NUMBERS = [0, -0, -1, 0.5, 1e-320, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e21, 1e308, -1e308]
const WORDS = ['', '__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'type', 'ref', 'room_id', '\u0000', '\ud800', '\udfff', '\u202e', '𝒳', 'ﷺ', '\ufffd', '\uffff', 'İ', '1e999', '../..', '{}', "'; DROP TABLE", '%s%n', 'x'.repeat(9000)]
const anything: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json[]>(null, true, false, [], {}),
  fc.constantFrom(...NUMBERS),
  fc.constantFrom(...WORDS),
  fc.string({ unit: 'binary' }),
  fc.constantFrom(...WORDS).map(word => own(word, word)),
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>,
  fc.nat(2000).map(depth => { let nested: Json = 1; for (let i = 0; i < depth; i++) nested = i % 2 === 0 ? [nested] : { a: nested }; return nested })
)

/** One change of a frame: some value in it becomes anything, goes, or gets company. */
interface Change { readonly at: number, readonly how: 'replace' | 'remove' | 'add' | 'wrap', readonly name: string, readonly value: Json }
const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(),
  how: fc.constantFrom('replace', 'replace', 'remove', 'add', 'wrap'),
  name: fc.oneof(fc.constantFrom(...WORDS.slice(0, -1)), fc.string()),
  value: anything,
}) as fc.Arbitrary<Change>

function apply (frame: Bag, { at, how, name, value }: Change): Bag {
  const places: Array<{ holder: Bag, key: string }> = []
  const walk = (holder: Bag): void => {
    for (const key of Object.keys(holder)) {
      places.push({ holder, key })
      const inside = holder[key]
      if (typeof inside === 'object' && inside !== null && places.length < 100) walk(inside as Bag)
    }
  }
  walk(frame)
  if (places.length === 0) return frame
  const { holder, key } = places[at % places.length]!
  if (how === 'replace') holder[key] = value
  else if (how === 'remove') delete holder[key]
  else if (how === 'wrap') holder[key] = [holder[key]!]
  else Object.defineProperty(holder, name, { value, enumerable: true, configurable: true, writable: true })
  return frame
}

/** Good frames with one to four changes. */
export function mutatedFrame (rooms: readonly string[]): fc.Arbitrary<Bag> {
  return fc.tuple(goodFrame(rooms), fc.array(change, { minLength: 1, maxLength: 4 })).map(([frame, changes]) => changes.reduce(apply, structuredClone(frame)))
}

/** Texts of frames that were cut, doubled, or hit somewhere. */
export function brokenText (rooms: readonly string[]): fc.Arbitrary<string> {
  return fc.tuple(goodFrame(rooms), fc.nat(), fc.string({ maxLength: 4 }), fc.nat(8)).map(([frame, at, put, cut]) => {
    const text = JSON.stringify(frame)
    const where = at % (text.length + 1)
    return text.slice(0, where) + put + text.slice(where + cut)
  })
}
