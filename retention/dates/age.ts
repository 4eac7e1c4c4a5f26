import { addDays, addYears, type CivilDate, compareDates, earlierOf } from './civil.ts'
import type { DateSpan } from './span.ts'

/** The N-th birthday. Who was born on 29 February has it on 1 March in a year that has no such day. */
export const birthday = (born: CivilDate, age: number): CivilDate => addYears(born, age, 'mar-01')

/**
 * The day with whose end the N-th year of life is completed: the day before the N-th birthday, because the day of birth
 * counts (BGB ss. 187(2), 188(2) and (3)).
 */
export const completion = (born: CivilDate, age: number): CivilDate => addDays(birthday(born, age), -1)

/** Years of age that somebody must have had on a certain day: at least `from`, and less than `below`. */
export interface AgeBand {
  readonly from?: number | undefined
  readonly below?: number | undefined
}

/**
 * The latest day of birth within `born` for which the age may have been in the band on some day of `on`. Undefined where
 * none fits: then a rule for that age cannot apply. A later birth gives a later date in every rule about ages, so this
 * one day is the worst case of all.
 */
export function latestBirthInBand(born: DateSpan, on: DateSpan, { from, below }: AgeBand): CivilDate | undefined {
  const oldEnough = from === undefined ? born.to : earlierOf(born.to, addYears(on.to, -from, 'feb-28'))
  if (compareDates(oldEnough, born.from) < 0) return undefined
  if (below !== undefined && compareDates(on.from, birthday(oldEnough, below)) >= 0) return undefined
  return oldEnough
}
