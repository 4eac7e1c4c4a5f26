import { createHash } from 'node:crypto'
import { Random } from '../support/random.ts'

interface Task {
  at: number
  order: number
  run(): void
}

/**
 * The only source of time and order in a simulated world. Whatever awaits something awaits a task of this queue; the
 * next one runs only when everything that the last one set going has come to rest. So one seed gives one trace.
 */
export class Scheduler {
  readonly random: Random
  /** Milliseconds since the world began. */
  now = 0
  /** What the system clock of the site that runs just now is wrong by. */
  clockAheadMs = 0
  /** Tasks that have run. */
  steps = 0
  readonly #trace = createHash('sha256')
  readonly #keep: boolean
  readonly lines: string[] = []
  #heap: Task[] = []
  #order = 0

  constructor(seed: number, keepTrace: boolean) {
    this.random = new Random(seed)
    this.#keep = keepTrace
  }

  /** Tasks of one moment run in an order that the seed decides. */
  after(ms: number, run: () => void): void {
    this.#push({ at: this.now + ms, order: this.random.below(1 << 20) * 4096 + (this.#order++ % 4096), run })
  }

  note(line: string): void {
    const text = `${this.now.toFixed(0)} ${line}`
    this.#trace.update(`${text}\n`)
    if (this.#keep) this.lines.push(text)
  }

  /** Of all that was noted. */
  get digest(): string {
    return this.#trace.copy().digest('hex')
  }

  /** Runs everything that is due until then. */
  async runUntil(end: number): Promise<void> {
    for (let task = this.#heap[0]; task && task.at <= end; task = this.#heap[0]) {
      this.#pop()
      this.now = task.at
      this.steps += 1
      task.run()
      await rest()
    }
    this.now = end
  }

  #push(task: Task): void {
    const heap = this.#heap
    let at = heap.push(task) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(task, heap[parent] as Task)) break
      heap[at] = heap[parent] as Task
      at = parent
    }
    heap[at] = task
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop() as Task
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Task, heap[child] as Task)) child += 1
      if (!isBefore(heap[child] as Task, last)) break
      heap[at] = heap[child] as Task
      at = child
    }
    heap[at] = last
  }
}

const isBefore = (a: Task, b: Task): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/** Resolves when no promise is left that could go on by itself: those go before any immediate. */
const rest = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
