import { statfs } from 'node:fs/promises'

const GIB = 1024 ** 3
const FRESH_MS = 500

/** Watches free space, so that the landing refuses before the catalogue and the journal have no room left. */
export class Space {
  readonly #folder: string
  readonly #reserveBytes: number | undefined
  #checkedAt = 0
  #bytesFree = Number.POSITIVE_INFINITY
  #bytesTotal = 0

  constructor(folder: string, reserveBytes: number | undefined) {
    this.#folder = folder
    this.#reserveBytes = reserveBytes
  }

  get bytesFree(): number {
    return this.#bytesFree
  }

  get bytesTotal(): number {
    return this.#bytesTotal
  }

  /** Bytes that ingest never uses. */
  get reserveBytes(): number {
    return this.#reserveBytes ?? Math.min(GIB, Math.floor(this.#bytesTotal * 0.05))
  }

  /** Whether `bytes` more fit above the reserve, by a reading that is at most half a second old. */
  async fits(bytes: number): Promise<boolean> {
    if (Date.now() - this.#checkedAt > FRESH_MS) await this.refresh()
    return this.#bytesFree - bytes > this.reserveBytes
  }

  /** What is written between two readings counts too. */
  used(bytes: number): void {
    this.#bytesFree -= bytes
  }

  async refresh(): Promise<void> {
    this.#checkedAt = Date.now()
    const { bavail, blocks, bsize } = await statfs(this.#folder)
    this.#bytesFree = bavail * bsize
    this.#bytesTotal = blocks * bsize
  }
}
