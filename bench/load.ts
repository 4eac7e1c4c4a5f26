import { fork } from 'node:child_process'
import path from 'node:path'
import type { Job, JobResult } from './jobs.ts'

type Message = { prepared: true } | { result: JobResult } | { error: string }

/** Runs one job in a client process and resolves with what it measured; rejects with what it complained of. */
export async function runJob(job: Job): Promise<JobResult> {
  const child = fork(path.join(import.meta.dirname, 'client.ts'), [], {
    execArgv: ['--import', 'tsx', '--max-old-space-size=4096'],
    env: { ...process.env, UV_THREADPOOL_SIZE: '16' },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  try {
    return await new Promise<JobResult>((resolve, reject) => {
      child.on('message', (message: Message) => {
        if ('prepared' in message) child.send('go')
        else if ('result' in message) resolve(message.result)
        else reject(new Error(`${job.kind}: ${message.error}`))
      })
      child.once('error', reject)
      child.once('exit', (code, signal) => reject(new Error(`${job.kind}: the client ended (${code ?? signal})`)))
      child.send(job)
    })
  } finally {
    child.kill()
  }
}
