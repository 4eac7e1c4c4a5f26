import type { DestructionReceipt, Disposition } from '../../retention/disposition.ts'
import type { SiteGeneration } from '../../retention/holds.ts'
import type { SiteClock } from '../../retention/standing.ts'

/** The sites that keep a volume, as far as retention needs them. With a second site this is what its link offers. */
export interface Sites {
  /** Every site that keeps the volume, this one first, and the generation of its storage. */
  all(): readonly SiteGeneration[]
  /** The compliance clocks that are known now; a site that is away has none. */
  clocks(): Promise<readonly SiteClock[]>
  /**
   * Resolves when every other site has prepared for this proposal: from then on it grants no holds on the study. Throws
   * ArchiveError `unavailable` where one doesn't answer, `forbidden` where one refuses.
   */
  agreeToDestroy(disposition: Disposition, proposal: number): Promise<void>
  /** The other sites' receipts, as soon as they have destroyed it too; throws ArchiveError `unavailable` before. */
  receipts(disposition: Disposition): Promise<readonly DestructionReceipt[]>
}

/** What whoever moves or frees copies asks before. */
export interface KeepingFacts {
  /** Whether somebody holds any of these studies. */
  isHeld(studyUids: readonly string[]): Promise<boolean>
  /** Whether this house moves copies of what is held. */
  readonly movesHeld: boolean
  /** Does something to a study's copies. Throws ArchiveError `conflict` once the study is being destroyed. */
  during<T>(studyUid: string, work: () => Promise<T>): Promise<T>
  /** What the site's compliance clock shows, in milliseconds since 1970. */
  nowMs(): number
}
