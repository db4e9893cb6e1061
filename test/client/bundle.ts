// The client as one ESM file, made roughly: types stripped, comments and indentation removed, modules put one after the other, those
// that others import first. A bundler with a minifier makes it smaller still, as most names stay here: so its size is an upper bound.
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join } from 'node:path'

const IMPORT = /^import (type )?(?:\{[^}]*\}|[^'"]+) from '(\.\/[^']+)'$/gm
const REEXPORT = /^export (type )?\{([^}]*)\} from '(\.\/[^']+)'$/gm

/** One module's text after all that it imports, each once. The names of modules must not clash, which parsing the result would show. */
export function bundle (entry: string): string {
  const done = new Set<string>()
  const parts: string[] = []
  const names: string[] = []
  const add = (file: string): void => {
    if (done.has(file)) return
    done.add(file)
    const text = readFileSync(file, 'utf8')
    for (const [, type, path] of text.matchAll(IMPORT)) if (type === undefined) add(join(dirname(file), path!))
    for (const [, type, , path] of text.matchAll(REEXPORT)) if (type === undefined) add(join(dirname(file), path!))
    if (file === entry) {
      for (const [, type, list] of text.matchAll(REEXPORT)) if (type === undefined) names.push(...list!.split(',').map(name => name.trim()))
      for (const [, name] of text.matchAll(/^export (?:async )?(?:function|const|class) (\w+)/gm)) names.push(name!)
    }
    const js = stripTypeScriptTypes(text.replace(REEXPORT, ''))
    parts.push(withoutComments(js.replace(/^import [^\n]*$/gm, '').replace(/^export (?!\{)/gm, '')))
  }
  add(entry)
  // Names of limits are nobody's properties: short ones will do.
  const text = parts.join('\n').replace(/\b[A-Z]+(?:_[A-Z]+)+\b/g, name => names.includes(name) ? name : `$${short(name)}`)
  return `${text}\nexport{${names.join(',')}}\n`
}

// Strings, templates, regular expressions; comments.
const TOKENS = /('(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|\/(?![*/\s])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[gimsuy]*(?=[.,)\s]))|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g

const shorts = new Map<string, string>()

function short (name: string): string {
  if (!shorts.has(name)) shorts.set(name, shorts.size.toString(36).replace(/^\d/, digit => `_${digit}`))
  return shorts.get(name)!
}

/** Comments, and the blanks that nothing depends on, away; what is in quotes as it is. Lines stay, for semicolons hang on them. */
function withoutComments (js: string): string {
  const quoted: string[] = []
  const bare = js.replace(TOKENS, (_, text: string | undefined) => text === undefined ? '' : `\ufffe${quoted.push(text) - 1}\ufffe`)
  return bare.replace(/#(\w+)/g, (_, name: string) => `#${short(name)}`).split('\n')
    .map(line => line.trim().replace(/ +/g, ' ').replace(/ ?([=<>!&|?:,;{}()[\]*/%^~]|\+(?!\+)) ?/g, '$1'))
    .filter(line => line !== '').join('\n')
    .replace(/([{,(;])\n/g, '$1').replace(/\n([}\].?:])/g, '$1').replace(/,([}\])])/g, '$1')
    .replaceAll(/\ufffe(\d+)\ufffe/g, (_, n) => quoted[Number(n)]!)
}
