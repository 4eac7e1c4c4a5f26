import { readFileSync } from 'node:fs'

/** From the nearest package.json above: sources and the built program are at different depths. */
export const VERSION: string =
  ['../package.json', '../../package.json']
    .map((path) => {
      try {
        return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { name?: string; version: string }
      } catch {
        return undefined
      }
    })
    .find((found) => found?.name === 'firn')?.version ?? '0.0.0'
