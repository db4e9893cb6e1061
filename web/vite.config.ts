/**
 * How the web client is built: into web/dist, each file with its gzip and Brotli beside it, for the gateway to serve as they are; and the
 * service worker, which knows the names of all files. The nonce of the style sheets is put in by the gateway, anew for each answer. `vite`
 * alone serves the sources, without the worker, with the API of a Millrace that runs on MILLRACE_URL.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import react from '@vitejs/plugin-react'
import { build, defineConfig, type Plugin } from 'vite'

/** What the gateway puts its nonce in place of. */
const NONCE = '__MILLRACE_NONCE__'
const API = ['auth', 'me', 'users', 'contacts', 'blocks', 'rooms', 'dms', 'sync', 'unread', 'offline', 'mentions', 'search', 'events', 'docs', 'files', 'push']

/** Files smaller than this, in bytes, are not worth it. */
const COMPRESSED_BYTES_MIN = 1024
const ROOT = fileURLToPath(new URL('.', import.meta.url))
/** Of the name of a build. */
const ID_CHARS = 12

function compressed (): Plugin {
  return {
    name: 'millrace-compressed',
    apply: 'build',
    writeBundle ({ dir = 'dist' }) {
      for (const file of readdirSync(join(dir, 'assets'))) {
        const path = join(dir, 'assets', file)
        const bytes = readFileSync(path)
        if (bytes.length < COMPRESSED_BYTES_MIN || /\.(gz|br|png)$/.test(file)) continue
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }))
        writeFileSync(`${path}.br`, brotliCompressSync(bytes))
      }
    },
  }
}

const isCompressed = (file: string): boolean => /\.(gz|br)$/.test(file)

/** Made last: what it keeps is all that there is. Its own file is another one whenever a file is, which is how browsers find a new build. */
function worker (): Plugin {
  return {
    name: 'millrace-worker',
    apply: 'build',
    async closeBundle () {
      const { outDir } = this.environment.config.build
      const dir = isAbsolute(outDir) ? outDir : join(ROOT, outDir)
      const files = readdirSync(join(dir, 'assets')).filter(file => !isCompressed(file)).sort()
      const hash = createHash('sha256').update(readFileSync(join(dir, 'index.html')))
      for (const file of files) hash.update(file).update(readFileSync(join(dir, 'assets', file)))
      await build({
        configFile: false,
        root: ROOT,
        publicDir: false,
        logLevel: 'warn',
        define: { BUILD_ID: JSON.stringify(hash.digest('hex').slice(0, ID_CHARS)), BUILD_FILES: JSON.stringify(files.map(file => `/assets/${file}`)) },
        build: { target: 'es2022', outDir: dir, emptyOutDir: false, reportCompressedSize: false, lib: { entry: join(ROOT, 'worker/main.ts'), formats: ['iife'], name: 'worker', fileName: () => 'sw.js' } },
      })
    },
  }
}

const target = process.env.MILLRACE_URL ?? 'http://127.0.0.1:8080'

export default defineConfig(({ command }) => ({
  plugins: [react(), compressed(), worker()],
  resolve: { alias: { 'millrace/client': fileURLToPath(new URL('../src/client/client.ts', import.meta.url)) } },
  html: command === 'build' ? { cspNonce: NONCE } : {},
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    sourcemap: false,
    chunkSizeWarningLimit: 700,
    reportCompressedSize: false,
  },
  server: {
    proxy: {
      ...Object.fromEntries(API.map(path => [`/${path}`, { target, changeOrigin: true }])),
      '/ws': { target, ws: true, changeOrigin: true },
    },
  },
}))
