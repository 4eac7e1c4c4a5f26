import type { ListOptions, StorageAdapter } from '../../storage-adapters/contract/adapter.ts'
import { layer } from '../../storage-adapters/wrap/layer.ts'

/** A store that could not be opened is not tried again before this. */
const PAUSE_MS = 5000

/**
 * An adapter that is opened when it is first needed: a store that is away when the node starts keeps nobody from starting,
 * and is used as soon as it is there and has proved to be the right one.
 */
export class WhenOpen {
  readonly adapter: StorageAdapter
  readonly #open: () => Promise<void>
  #opened = false
  #opening: Promise<void> | undefined
  #failed: { error: Error; at: number } | undefined

  /** `open` opens the inner adapter and checks that it is the store that it should be. */
  constructor(inner: StorageAdapter, open: () => Promise<void>) {
    this.#open = open
    const ensure = () => this.ensure()
    const list = async function* (options?: ListOptions) {
      await ensure()
      yield* inner.list(options)
    }
    this.adapter = layer(
      inner,
      async (call, next) => {
        if (call.operation !== 'open') await ensure()
        return next()
      },
      { list, open: ensure },
    )
  }

  /** Why the store can't be used; undefined when it was opened. */
  get trouble(): string | undefined {
    if (this.#opened) return undefined
    return this.#failed?.error.message ?? 'not opened yet'
  }

  /** What the last attempt to open it has thrown, if it failed. */
  get error(): Error | undefined {
    return this.#failed?.error
  }

  /** Throws what opening throws. */
  async ensure(): Promise<void> {
    if (this.#opened) return
    if (this.#failed && performance.now() - this.#failed.at < PAUSE_MS) throw this.#failed.error
    this.#opening ??= this.reopen().finally(() => {
      this.#opening = undefined
    })
    await this.#opening
  }

  /** Opens it again and checks who it is: before a store that failed is trusted again. */
  async reopen(): Promise<void> {
    try {
      await this.#open()
      this.#opened = true
      this.#failed = undefined
    } catch (error) {
      this.#opened = false
      this.#failed = { error: error as Error, at: performance.now() }
      throw error
    }
  }
}
