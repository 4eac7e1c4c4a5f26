import type { BenchOptions } from './options.ts'
import type { Results } from './results.ts'
import type { ServerName } from './servers.ts'

/** What every measurement is given. */
export interface Bench {
  options: BenchOptions
  results: Results
  /** On the disk that is measured; removed at the end. */
  folder: string
  /** Which servers take part, in the order of each round. */
  subjects: readonly ServerName[]
  /** Whether dcmtk's storescu is there. */
  storescu: boolean
  /** Since the run began. */
  elapsedSeconds(): number
  /** A line of progress with the time. */
  say(text: string): void
}
