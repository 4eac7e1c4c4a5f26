import { parseArgs } from 'node:util'

export const parts = ['ct', 'mr', 'dx', 'huge', 'qido'] as const
export type Part = (typeof parts)[number]

export interface BenchOptions {
  only: readonly Part[]
  jsonFile: string | undefined
  short: boolean
  /** Measures against the raw limit alone. */
  withoutPeer: boolean
  /** Measures only raw limit and peer. */
  withoutFirn: boolean
  folder: string | undefined
}

export const usage = `usage: npm run bench -- [--only ${parts.join(',')}] [--short] [--json FILE] [--folder DIR]
  --short          a quarter of the data and one repetition; under 4 minutes
  --folder DIR     where data is put while it runs (default: the system's folder for temporary files)
  --without-peer   leave Orthanc out        --without-firn   leave Firn out`

/** Throws with a message for the user. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      json: { type: 'string' },
      folder: { type: 'string' },
      short: { type: 'boolean', default: false },
      'without-peer': { type: 'boolean', default: false },
      'without-firn': { type: 'boolean', default: false },
    },
  })
  const only = (values.only ?? parts.join(',')).split(',')
  const unknown = only.find((name) => !parts.includes(name as Part))
  if (unknown !== undefined) throw new Error(`--only: there is no ${unknown}; there are ${parts.join(', ')}`)
  return {
    only: only as Part[],
    jsonFile: values.json,
    short: values.short,
    withoutPeer: values['without-peer'],
    withoutFirn: values['without-firn'],
    folder: values.folder,
  }
}
