import { Worker } from 'node:worker_threads'

interface Pending {
  resolve(result: unknown): void
  reject(error: Error): void
}

interface Reply {
  id: number
  result?: unknown
  error?: string
}

/** Sends work to a thread and starts a new one where it died; what was pending then failed. */
export class Thread {
  readonly #script: URL
  readonly #workerData: unknown
  #worker: Worker | undefined
  readonly #pending = new Map<number, Pending>()
  #lastId = 0
  #isOver = false

  /** `script` without its extension: the same module is `.ts` as source and `.js` as built. */
  constructor(script: URL, workerData: unknown) {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    this.#script = new URL(`${script.href}.${extension}`)
    this.#workerData = workerData
  }

  /** Rejects when the work failed, the thread died, or was ended for good. */
  async ask(kind: string, input?: unknown): Promise<unknown> {
    if (this.#isOver) throw new Error('the thread was ended')
    this.#worker ??= this.#start()
    const worker = this.#worker
    this.#lastId += 1
    const id = this.#lastId
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      worker.postMessage({ id, kind, input })
    })
  }

  /** What was asked and isn't answered fails. */
  async terminate(): Promise<void> {
    const worker = this.#worker
    this.#isOver = true
    this.#worker = undefined
    await worker?.terminate()
    this.#failAll(new Error('the thread was ended'))
  }

  #start(): Worker {
    const worker = new Worker(this.#script, { workerData: this.#workerData })
    worker.on('message', (reply: Reply) => this.#take(reply))
    // A worker that dies says so twice; its successor must not suffer for it.
    const died = (error: Error): void => {
      if (this.#worker !== worker) return
      this.#worker = undefined
      this.#failAll(error)
    }
    worker.on('error', died)
    worker.on('exit', () => died(new Error('the thread ended')))
    return worker
  }

  #take({ id, result, error }: Reply): void {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (error === undefined) pending?.resolve(result)
    else pending?.reject(new Error(error))
  }

  #failAll(error: Error): void {
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of pending) reject(error)
  }
}
