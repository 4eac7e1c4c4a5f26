/** What keeps the promises. Each can be switched off, to see that the simulation notices. */
export interface Safeguards {
  /** An instance is acknowledged when it is synced, not when it is written. */
  syncedBeforeAck: boolean
  /** A site that went back to an earlier state is recognised, fenced, and rejoins. */
  oldSitesFenced: boolean
  /** Storage that was removed from the pair is remembered for ever. */
  removedRemembered: boolean
  /** The receiver compares the bytes that came with the digest that the sender says. */
  digestsCompared: boolean
  /** What the other site didn't confirm is recorded as owed, and speaks against being in sync. */
  localAcksNoted: boolean
  /** A new process at the other site speaks against being in sync. */
  sessionsDoubted: boolean
}

export const ALL: Safeguards = {
  syncedBeforeAck: true,
  oldSitesFenced: true,
  removedRemembered: true,
  digestsCompared: true,
  localAcksNoted: true,
  sessionsDoubted: true,
}
