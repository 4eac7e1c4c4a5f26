/** Appends events to the log in a folder without end and says which are durable, until it is killed. */
import { openLog, stored } from './events.ts'

const [folder = '', appenders = '16'] = process.argv.slice(2)
const log = await openLog(folder, { segmentBytes: 200_000 })
if (log.trouble !== undefined) throw new Error(log.trouble)
let n = 0
const append = async (): Promise<void> => {
  for (;;) {
    const mine = n++
    const [head] = await log.append(stored(mine))
    process.stdout.write(`${head?.seq} ${head?.hash} ${mine}\n`)
  }
}
await Promise.all(Array.from({ length: Number(appenders) }, append))
