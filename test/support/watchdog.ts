import { Worker } from 'node:worker_threads'

/** Runs in a thread of its own, so that a busy test doesn't make the server look slow. */
const POLLER = `
const { parentPort, workerData } = require('node:worker_threads')
const http = require('node:http')
const result = { polls: 0, failures: [], slowestMs: 0 }
let stopped = false
function poll() {
  const startedAt = performance.now()
  const request = http.get(workerData, { agent: false, timeout: 10000 }, (response) => {
    response.resume().on('end', () => done(response.statusCode === 200 ? undefined : 'HTTP ' + response.statusCode))
  })
  request.on('timeout', () => request.destroy(new Error('no answer in 10 s')))
  request.on('error', (error) => done(error.message))
  let over = false
  function done(failure) {
    if (over) return
    over = true
    result.polls++
    result.slowestMs = Math.max(result.slowestMs, performance.now() - startedAt)
    if (failure !== undefined && result.failures.length < 20) result.failures.push(failure)
    if (stopped) parentPort.postMessage(result)
    else setTimeout(poll, 100)
  }
}
parentPort.once('message', () => { stopped = true })
poll()
`

export interface Vigil {
  polls: number
  /** Answers other than 200, or none. */
  failures: string[]
  slowestMs: number
}

/** Asks a URL ten times a second; the returned function ends the vigil. */
export function watch(url: string): () => Promise<Vigil> {
  const worker = new Worker(POLLER, { eval: true, workerData: url })
  return async () => {
    const vigil = new Promise<Vigil>((resolve, reject) => worker.once('message', resolve).once('error', reject))
    worker.postMessage('stop')
    try {
      return await vigil
    } finally {
      await worker.terminate()
    }
  }
}
