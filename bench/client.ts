/**
 * The load's process: takes one job over IPC, prepares all it will send, says so, and measures on `go`. A process of its
 * own, so that what it costs is not counted in anybody's memory or event loop but its own.
 */
import { type Job, prepareJob } from './jobs.ts'

process.once('message', async (job: Job) => {
  try {
    const go = await prepareJob(job)
    process.send?.({ prepared: true })
    process.once('message', async () => {
      try {
        process.send?.({ result: await go() }, () => process.disconnect())
      } catch (error) {
        fail(error)
      }
    })
  } catch (error) {
    fail(error)
  }
})

function fail(error: unknown): void {
  process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }, () => {
    process.exit(1)
  })
}
