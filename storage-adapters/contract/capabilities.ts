/** What a store can do. An adapter proves its claims in `open()`; before that they are what the settings ask for. */
export interface Capabilities {
  /** Parts of an object can be read without reading it from its start. */
  readonly rangeRead: boolean
  /**
   * What keeps a second writer from replacing an object. `native`: the store refuses. `link`: the file system's link(2)
   * refuses. `none`: nothing but a look beforehand, so two writers at the same moment may both succeed; harmless where
   * the key contains the digest of the bytes, as it does for packs.
   */
  readonly createOnly: 'native' | 'link' | 'none'
  /** The strongest lock that the store was seen to enforce. */
  readonly objectLock: 'none' | 'governance' | 'compliance'
  /**
   * Files are marked so that nothing but a privileged process that unmarks them first can change or remove them. A bar
   * against mistakes; no lock, as it has no date and doesn't bind whoever may set it.
   */
  readonly immutableFiles?: boolean
  /** Whether it can tell how much room there is: `CapacityAware`. */
  readonly capacity: boolean
  /** Whether objects may have to be recalled before they can be read: `Recallable`. */
  readonly recall: boolean
  /** The store itself compares what it received with the SHA-256 that was announced. */
  readonly backendSha256: boolean
  readonly objectBytesMax?: number
  /** How many calls at the same time the adapter is good for. */
  readonly requestsMax: number
  /** Claims that were not kept, and so were lowered: for the alarm and the console. */
  readonly lowered: readonly LoweredCapability[]
}

export interface LoweredCapability {
  readonly capability: 'objectLock' | 'immutableFiles' | 'createOnly' | 'backendSha256' | 'capacity'
  /** A sentence for an administrator: what was seen. */
  readonly reason: string
}
