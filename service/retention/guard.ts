import { ArchiveError } from '../errors.ts'

/** Keeps copies of a study from being made while it is destroyed: what began before is waited for, nothing new begins. */
export class StudyGuard {
  readonly #busy = new Map<string, number>()
  readonly #closed = new Set<string>()
  #waiting: (() => void)[] = []

  async during<T>(studyUid: string, work: () => Promise<T>): Promise<T> {
    if (this.#closed.has(studyUid)) throw new ArchiveError('conflict', `study ${studyUid} is being destroyed`)
    this.#busy.set(studyUid, (this.#busy.get(studyUid) ?? 0) + 1)
    try {
      return await work()
    } finally {
      const left = (this.#busy.get(studyUid) ?? 1) - 1
      if (left > 0) this.#busy.set(studyUid, left)
      else this.#busy.delete(studyUid)
      for (const wake of this.#waiting.splice(0)) wake()
    }
  }

  /** Resolves when nobody is at the study any more. */
  async close(studyUid: string): Promise<void> {
    this.#closed.add(studyUid)
    while (this.#busy.has(studyUid)) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  open(studyUid: string): void {
    this.#closed.delete(studyUid)
  }
}
