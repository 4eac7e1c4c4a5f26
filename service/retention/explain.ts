import { explain, type Language } from '../../retention/explain/explain.ts'
import { type Block, blocksOf } from '../../retention/standing.ts'
import type { CatalogueRetention } from '../catalogue/retention-ports.ts'
import { fold } from './dispositions.ts'
import type { FoldedDisposition } from './fold.ts'
import { notFound } from './record.ts'
import type { Standings, StudyStanding } from './standings.ts'

export interface Explanation extends StudyStanding {
  /** What forbids destruction now. */
  blocks: Block[]
  dispositions: FoldedDisposition[]
  /** In plain words, by line. */
  text: string[]
}

const WORDS = {
  en: {
    blocked: (blocks: readonly string[]) => `It can't be destroyed now: ${blocks.join(', ')}.`,
    free: 'Its time is over and nobody holds it: it may become a candidate for destruction.',
    recorded: (at: string) => `Recorded in the event log at ${at}.`,
    unrecorded: 'This is not recorded yet: the next evaluation does that.',
    disposition: (id: string, state: string) => `Disposition ${id}: ${state}.`,
  },
  de: {
    blocked: (blocks: readonly string[]) => `Sie darf jetzt nicht vernichtet werden: ${blocks.join(', ')}.`,
    free: 'Ihre Frist ist abgelaufen, und niemand sperrt sie: Sie kann zur Vernichtung vorgeschlagen werden.',
    recorded: (at: string) => `Festgehalten im Ereignisprotokoll am ${at}.`,
    unrecorded: 'Das ist noch nicht festgehalten; die nächste Auswertung tut es.',
    disposition: (id: string, state: string) => `Aussonderung ${id}: ${state}.`,
  },
} as const

/** Why a study is kept, until when, and what stands in the way of its destruction. Throws ArchiveError `not_found`. */
export async function explainStudy(
  { standings, catalogue }: { standings: Standings; catalogue: CatalogueRetention },
  studyUid: string,
  language: Language,
): Promise<Explanation> {
  const dispositions = (await catalogue.dispositions({ studyUid }, { limit: 100 })).flatMap((one) => fold(one) ?? [])
  const found = await standings.of(studyUid).catch((error) => {
    const destroyed = dispositions.find(({ disposition }) => disposition.state === 'certified')
    if (!destroyed) throw error
    throw notFound(
      `study ${studyUid} was destroyed by disposition ${destroyed.disposition.id}, which has its certificate`,
    )
  })
  const { standing, evaluation } = found
  const blocks = blocksOf(standing)
  const words = WORDS[language]
  const text = [
    ...explain(standing.decision, standing.holds, language),
    '',
    blocks.length > 0 ? words.blocked(blocks) : words.free,
    evaluation.stored ? words.recorded(evaluation.stored.at) : words.unrecorded,
    ...dispositions.map(({ disposition }) => words.disposition(disposition.id, disposition.state)),
  ]
  return { ...found, blocks, dispositions, text }
}
