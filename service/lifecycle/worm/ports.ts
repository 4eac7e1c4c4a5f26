/** Until when studies must be kept, as far as that was decided. */
export interface RetainUntil {
  /**
   * The first moment at which the study may be destroyed; undefined where nothing was decided yet. For ever is
   * `FOR_EVER`. It may grow later, and `LockKeeper.changed` wants to be told; it never shrinks.
   */
  of(studyUid: string): Promise<Date | undefined>
  /**
   * How long after a pack was sealed a decision may still be on its way. Until then nothing is locked for decades because
   * there is none. Default 0.
   */
  readonly graceMs?: number
}

/** Further than any store locks: clamped, and extended again and again. */
export const FOR_EVER = new Date('9999-12-31T00:00:00.000Z')

/** Which studies are held. */
export interface StudyHolds {
  /** Undefined where nobody knows: then a store's legal hold is left as it is. */
  isHeld(studyUid: string): Promise<boolean | undefined>
}
