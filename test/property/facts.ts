import type { KeepingFacts } from '../../service/retention/ports.ts'

/** A house in which nothing is held, and whose compliance clock is right. */
export const unheld: KeepingFacts = {
  isHeld: async () => false,
  movesHeld: true,
  during: (_studyUid, work) => work(),
  nowMs: () => Date.now(),
}
