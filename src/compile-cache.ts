/**
 * Node keeps what it has compiled beside the installed packages, so that the next process starts in half the time. To be imported before what
 * is to be kept. Where the directory cannot be written, as in an image, nothing is kept and nothing fails; NODE_COMPILE_CACHE goes before,
 * NODE_DISABLE_COMPILE_CACHE=1 switches it off.
 */
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/millrace', import.meta.url)))
