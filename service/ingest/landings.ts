interface Underway {
  sha256: string
  landed: Promise<unknown>
}

/**
 * What is on its way to our disk and to the other site at the same time. The other site may be sending the very same
 * instance to us, and wait for us as we wait for it: it gets its answer as soon as the bytes are on our disk.
 */
export class Landings {
  readonly #underway = new Map<string, Underway>()

  begin({ sopInstanceUid, sha256 }: { sopInstanceUid: string; sha256: string }, landed: Promise<unknown>): void {
    this.#underway.set(sopInstanceUid, { sha256, landed })
  }

  end({ sopInstanceUid }: { sopInstanceUid: string }): void {
    this.#underway.delete(sopInstanceUid)
  }

  /**
   * `same`: these bytes have just landed. `other`: other bytes with this UID are underway. Undefined: neither, or they
   * failed to land.
   */
  async ofSame(copy: { sopInstanceUid: string; sha256: string } | undefined): Promise<'same' | 'other' | undefined> {
    const underway = copy && this.#underway.get(copy.sopInstanceUid)
    if (!underway) return undefined
    if (underway.sha256 !== copy.sha256) return 'other'
    return underway.landed.then(
      () => 'same' as const,
      () => undefined,
    )
  }
}
