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

const BLOCKS: Readonly<Record<Language, Readonly<Record<Block, string>>>> = {
  en: {
    in_retention: 'its time is not over',
    suspended: 'a claim is open',
    on_hold: 'somebody holds it',
    peer_away: "a site's clock is not known",
    clock_back: 'a system clock is behind the compliance clock',
  },
  de: {
    in_retention: 'ihre Frist ist nicht abgelaufen',
    suspended: 'ein Anspruch ist offen',
    on_hold: 'jemand sperrt sie',
    peer_away: 'die Uhr eines Standorts ist nicht bekannt',
    clock_back: 'eine Systemuhr geht der Fristenuhr nach',
  },
}

const say = (language: Language, blocks: readonly Block[]): string =>
  blocks.map((block) => `${BLOCKS[language][block]} (${block})`).join('; ')

const WORDS = {
  en: {
    blocked: (blocks: readonly Block[]) => `It can't be destroyed now: ${say('en', blocks)}.`,
    free: 'Its time is over and nobody holds it: it may become a candidate for destruction.',
    recorded: (at: string) => `Recorded in the event log at ${at}.`,
    unrecorded: 'This is not recorded yet: the next evaluation does that.',
    disposition: (id: string, state: string) => `Disposition ${id}: ${state}.`,
  },
  de: {
    blocked: (blocks: readonly Block[]) => `Sie darf jetzt nicht vernichtet werden: ${say('de', blocks)}.`,
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
