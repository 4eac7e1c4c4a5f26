import type { Standing } from '../../retention/standing.ts'
import type { CatalogueRetention } from '../catalogue/retention-ports.ts'
import type { Evaluation, Evaluator } from './evaluate.ts'
import type { Holds } from './holds.ts'
import type { Sites } from './ports.ts'
import { notFound } from './record.ts'

export interface StandingsOptions {
  catalogue: Pick<CatalogueRetention, 'copies'>
  evaluator: Pick<Evaluator, 'evaluate'>
  holds: Pick<Holds, 'on'>
  sites: Sites
}

/** A study as it stands at this moment, from the facts of now. */
export interface StudyStanding {
  standing: Standing
  evaluation: Evaluation
  /** Digests of all its copies, served or not. */
  digests: string[]
}

/** Puts together what the engine judges by: nothing of it is remembered from before. */
export class Standings {
  readonly #options: StandingsOptions

  constructor(options: StandingsOptions) {
    this.#options = options
  }

  /** Throws ArchiveError `not_found`. */
  async of(studyUid: string): Promise<StudyStanding> {
    const { catalogue, evaluator, holds, sites } = this.#options
    const evaluation = await evaluator.evaluate(studyUid)
    if (!evaluation) throw notFound(`there is no study ${studyUid}`)
    const copies = await catalogue.copies(studyUid)
    const standing: Standing = {
      decision: evaluation.decision,
      holds: await holds.on(studyUid, evaluation.study.patient),
      sites: sites.all().map(({ site }) => site),
      clocks: await sites.clocks(),
    }
    return { standing, evaluation, digests: copies.map(({ sha256 }) => sha256) }
  }
}
