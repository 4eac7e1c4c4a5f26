// Runs the conformance suite on an adapter of anybody's: npm run conformance -- --adapter ./mine.js [--large-bytes N]
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { type ConformanceOptions, conformance, type StoreFactory } from './conformance.ts'

const USAGE = `usage: npm run conformance -- --adapter FILE [--large-bytes N] [--listed-objects N] [--lock-ms N]

FILE is a module whose default export is a function that returns an adapter to a new, empty store (not opened yet),
or { adapter, again?, destroy? }; see docs/operating/storage-adapters.md. It may export \`options\` too.`

const { values } = parseArgs({
  options: {
    adapter: { type: 'string' },
    'large-bytes': { type: 'string' },
    'listed-objects': { type: 'string' },
    'lock-ms': { type: 'string' },
  },
})
if (values.adapter === undefined) {
  console.error(USAGE)
  process.exit(2)
}

function number(name: 'large-bytes' | 'listed-objects' | 'lock-ms'): number | undefined {
  const text = values[name]
  if (text === undefined) return undefined
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  console.error(`--${name} must be a positive number\n\n${USAGE}`)
  process.exit(2)
}

// npm runs scripts in the project's folder, and tells where it was called.
const path = resolve(process.env.INIT_CWD ?? '.', values.adapter)
const found: { default?: unknown; options?: ConformanceOptions } = await import(pathToFileURL(path).href)
if (typeof found.default !== 'function') {
  console.error(`${path} has no function as its default export\n\n${USAGE}`)
  process.exit(2)
}
const [largeBytes, listedObjects, lockMs] = [number('large-bytes'), number('listed-objects'), number('lock-ms')]
conformance(values.adapter, found.default as StoreFactory, {
  ...found.options,
  ...(largeBytes !== undefined && { largeBytes }),
  ...(listedObjects !== undefined && { listedObjects }),
  ...(lockMs !== undefined && { lockMs }),
})
