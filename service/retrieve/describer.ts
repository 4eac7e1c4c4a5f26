import { Worker } from 'node:worker_threads'
import { ArchiveError } from '../errors.ts'

/** A file's beginning, to be described as DICOM JSON with bulk data below `bulkDataRoot`. */
export interface DescribeRequest {
  bytes: Uint8Array
  /** It is the whole file. */
  whole: boolean
  /** There won't be more of it: describe what there is. */
  last: boolean
  bulkDataRoot: string
}

export type DescribeReply = { json: Uint8Array } | { more: true } | { error: string }

interface Job {
  request: DescribeRequest
  resolve(json: Buffer | undefined): void
  reject(error: Error): void
}

/** Jobs that the thread has at hand, so that it needn't wait for the main thread between two. */
const SENT_MAX = 4
/** A hostile header must not take the node's memory: the thread dies before. */
const HEAP_MIB_MAX = 1024

/**
 * Makes DICOM JSON of headers in a thread of its own: a header can be made to take seconds, and the main thread has
 * everybody else's instances. A thread that dies fails the job that it was at; the next ones go to a new one.
 */
export class Describer {
  readonly #heapMibMax: number
  #worker: Worker | undefined
  #closed = false
  /** In the order in which they will be answered. */
  #sent: Job[] = []
  #waiting: Job[] = []

  /** Starts the thread, so that the first job finds it ready. */
  constructor(heapMibMax = HEAP_MIB_MAX) {
    this.#heapMibMax = heapMibMax
    this.#worker = this.#start()
    this.#worker.unref()
  }

  /** JSON text in UTF-8; undefined when more of the file is needed. Throws ArchiveError `storage_failed`, `unavailable`. */
  describe(request: DescribeRequest): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject })
      this.#send()
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    const worker = this.#worker
    this.#worker = undefined
    for (const { reject } of [...this.#sent.splice(0), ...this.#waiting.splice(0)]) reject(stopping())
    await worker?.terminate()
  }

  #send(): void {
    while (this.#waiting.length > 0 && this.#sent.length < SENT_MAX) {
      const job = this.#waiting.shift() as Job
      if (this.#closed) job.reject(stopping())
      else {
        this.#worker ??= this.#start()
        this.#sent.push(job)
        this.#worker.postMessage(job.request)
      }
    }
    // An idle thread must not keep the process alive.
    if (this.#sent.length > 0) this.#worker?.ref()
    else this.#worker?.unref()
  }

  #start(): Worker {
    // The same file as source (tests) and as built.
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const worker = new Worker(new URL(`./describe-thread.${extension}`, import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: this.#heapMibMax },
    })
    // The last words of a thread that was replaced mean nothing to its successor.
    const current = (act: () => void) => {
      if (this.#worker === worker) act()
    }
    worker.on('message', (reply: DescribeReply) => current(() => this.#take(reply)))
    worker.on('error', (error) => current(() => this.#died(error.message)))
    worker.on('exit', () => current(() => this.#died('the thread ended')))
    return worker
  }

  #take(reply: DescribeReply): void {
    const job = this.#sent.shift()
    if ('json' in reply) job?.resolve(bufferOf(reply.json))
    else if ('more' in reply) job?.resolve(undefined)
    else job?.reject(failed(reply.error))
    this.#send()
  }

  #died(reason: string): void {
    this.#worker = undefined
    const [job, ...others] = this.#sent.splice(0)
    this.#waiting.unshift(...others)
    job?.reject(failed(reason))
    this.#send()
  }
}

const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array) => Buffer.from(buffer, byteOffset, byteLength)

const stopping = () => new ArchiveError('unavailable', 'the node is stopping')

const failed = (reason: string) => new ArchiveError('storage_failed', `a header can't be described: ${reason}`)
