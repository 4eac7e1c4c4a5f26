import { constants } from 'node:fs'
import { open, unlink } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * What direct I/O (Linux, open(2) O_DIRECT) wants of memory, file offsets and lengths. 4,096 serves disks with sectors of
 * 512 and of 4,096 bytes, and keeps what is written apart from the pages that readers have cached.
 */
export const ALIGNMENT_BYTES = 4096

const MIB = 1024 * 1024
const SLAB_BYTES = 4 * MIB
const SLABS = 8
const WASM_PAGE_BYTES = 64 * 1024

declare const WebAssembly: { Memory: new (limits: { initial: number }) => { buffer: ArrayBuffer } }

/** Page-aligned memory: Buffer.alloc gives any address, WebAssembly's memory begins at a page by its definition. */
function alignedMemory(bytes: number): Buffer {
  return Buffer.from(new WebAssembly.Memory({ initial: Math.ceil(bytes / WASM_PAGE_BYTES) }).buffer, 0, bytes)
}

/** Aligned memory from which segments are written; held only while the disk writes, never while a sender dawdles. */
export class Slabs {
  readonly #free: Buffer[]
  readonly #waiting: ((slab: Buffer) => void)[] = []

  constructor(count = SLABS, slabBytes = SLAB_BYTES) {
    const memory = alignedMemory(count * slabBytes)
    this.#free = Array.from({ length: count }, (_, n) => memory.subarray(n * slabBytes, (n + 1) * slabBytes))
  }

  async use<T>(work: (slab: Buffer) => Promise<T>): Promise<T> {
    const slab = this.#free.pop() ?? (await new Promise<Buffer>((resolve) => this.#waiting.push(resolve)))
    try {
      return await work(slab)
    } finally {
      const next = this.#waiting.shift()
      if (next) next(slab)
      else this.#free.push(slab)
    }
  }
}

let shared: Slabs | undefined

/** The process's slabs: WebAssembly reserves gigabytes of address space for each memory, so there is one. */
export function sharedSlabs(): Slabs {
  shared ??= new Slabs()
  return shared
}

/** Copies buffers one after the other into slabs, so that one write serves many of them. */
export class Filling {
  readonly #buffers: readonly Buffer[]
  #index = 0
  #offset = 0

  constructor(buffers: readonly Buffer[]) {
    this.#buffers = buffers
  }

  /** Bytes copied; 0 when nothing is left. */
  fill(slab: Buffer): number {
    let filled = 0
    while (filled < slab.length && this.#index < this.#buffers.length) {
      const buffer = this.#buffers[this.#index] as Buffer
      const copied = buffer.copy(slab, filled, this.#offset)
      filled += copied
      this.#offset += copied
      if (this.#offset < buffer.length) break
      this.#index += 1
      this.#offset = 0
    }
    return filled
  }
}

/** Flags for a new segment, and whether the file system takes direct writes; some don't, and are written through the cache. */
export async function directFlag(folder: string): Promise<number> {
  const direct = constants.O_DIRECT ?? 0
  const probe = join(folder, '.direct-io-probe')
  try {
    const file = await open(probe, constants.O_CREAT | constants.O_WRONLY | direct, 0o640)
    try {
      await sharedSlabs().use((slab) => file.write(slab, 0, ALIGNMENT_BYTES, 0))
    } finally {
      await file.close()
    }
    return direct
  } catch {
    return 0
  } finally {
    await unlink(probe).catch(() => undefined)
  }
}
