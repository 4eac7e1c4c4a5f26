import { setImmediate } from 'node:timers/promises'
import type { AuditTrail } from '../audit/ports.ts'
import type { MatchKey, Query, QueryLevel } from '../catalogue/ports.ts'
import { encodeDataSet } from '../dicom/encode.ts'
import { LEVEL_TAGS } from '../dicom/levels.ts'
import type { DicomJson, JsonAttribute, JsonValue, Tag } from '../dicom/types.ts'
import type { Operation } from './association-types.ts'
import { assertReadable, personOf } from './audit.ts'
import { CommandField } from './command.ts'
import {
  chooseIdentifierSyntax,
  identifierEncoding,
  keyItems,
  matchKeys,
  readIdentifier,
  readLevel,
} from './identifier.ts'
import type { DimseCatalogue, DimseService } from './service.ts'
import { FIND_SOP_CLASSES } from './sop-classes.ts'
import { type Outcome, queryOutcome, Status } from './status-map.ts'

/** Elements of an identifier that aren't keys: character set, level, view and time zone say how to read the others. */
const NO_KEYS: ReadonlySet<Tag> = new Set(['00080005', '00080052', '00080053', '00080201'])

/** Filled in here, whether asked for or not: Retrieve AE Title and Instance Availability. */
const RETRIEVE_AE_TITLE = '00080054'
const INSTANCE_AVAILABILITY = '00080056'

/** How long one query may hold the event loop. */
const TURN_MS = 10

const LEVELS: readonly QueryLevel[] = ['patient', 'study', 'series', 'instance']

/** PS3.4 C.3.4: attributes that the catalogue works out, known at their level and those below it. */
const COMPUTED: Readonly<Record<QueryLevel, readonly Tag[]>> = {
  patient: ['00201200', '00201202', '00201204'],
  study: ['00080061', '00080062', '00201206', '00201208'],
  series: ['00201209'],
  instance: [],
}

function levelsDownTo(level: QueryLevel): readonly QueryLevel[] {
  return LEVELS.slice(0, LEVELS.indexOf(level) + 1)
}

interface Keys {
  /** What each match is answered with: the identifier's own attributes. */
  asked: readonly (readonly [Tag, JsonAttribute])[]
  match: MatchKey[]
  include: Tag[]
  /** Some key is neither matched nor returned. */
  partly: boolean
}

function sortKeys(identifier: DicomJson, level: QueryLevel, catalogue: DimseCatalogue): Keys {
  const known = new Set(levelsDownTo(level).flatMap((each) => [...LEVEL_TAGS[each], ...COMPUTED[each]]))
  const asked = Object.entries(identifier).filter(([tag]) => !NO_KEYS.has(tag) && !tag.endsWith('0000'))
  const keys: Keys = { asked, match: [], include: [], partly: false }
  for (const [tag, attribute] of asked) {
    if (tag === RETRIEVE_AE_TITLE || tag === INSTANCE_AVAILABILITY) continue
    const match = matchKeys(tag, attribute)
    const supported = match.filter(({ path }) => catalogue.supports(level, path))
    keys.match.push(...supported)
    if (known.has(tag)) keys.include.push(tag)
    if (!known.has(tag) || supported.length < match.length) keys.partly = true
  }
  return keys
}

/** A sequence is answered with the attributes that its item in the request names; all of them if it names none. */
function answerValue(asked: JsonAttribute, found: JsonAttribute): JsonAttribute {
  const tags = keyItems(asked).flatMap((item) => Object.keys(item))
  if (found.vr !== 'SQ' || tags.length === 0) return found
  const items = keyItems(found).map((item) =>
    Object.fromEntries(Object.entries(item).filter(([tag]) => tags.includes(tag))),
  )
  return { vr: 'SQ', Value: items as JsonValue[] }
}

function answer(keys: Keys, found: DicomJson, levelName: string, aeTitle: string): DicomJson {
  const entries: [Tag, JsonAttribute][] = keys.asked.map(([tag, asked]) => {
    const attribute = found[tag]
    return [tag, attribute ? answerValue(asked, attribute) : { vr: asked.vr }]
  })
  const own: [Tag, JsonAttribute][] = [
    ['00080052', { vr: 'CS', Value: [levelName] }],
    [RETRIEVE_AE_TITLE, { vr: 'AE', Value: [aeTitle] }],
    [INSTANCE_AVAILABILITY, { vr: 'CS', Value: ['ONLINE'] }],
  ]
  const all = new Map([...entries, ...own])
  return Object.fromEntries([...all].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/**
 * C-FIND as SCP (PS3.4 C.4.1), Patient Root and Study Root. Keys of the levels above the query's are matched too,
 * whether or not they are unique keys. What the catalogue can't match or doesn't keep at the level is an optional key that
 * isn't supported: it doesn't restrict the answer, comes back empty if unknown, and the pending status says so.
 */
export class FindScp implements DimseService {
  readonly commands = [CommandField.cFind]
  readonly #catalogue: DimseCatalogue
  readonly #aeTitle: string
  readonly #audit: AuditTrail

  /** `aeTitle`: what is answered as Retrieve AE Title. */
  constructor(catalogue: DimseCatalogue, aeTitle: string, audit: AuditTrail) {
    this.#catalogue = catalogue
    this.#aeTitle = aeTitle
    this.#audit = audit
  }

  serves(abstractSyntax: string): boolean {
    return FIND_SOP_CLASSES.has(abstractSyntax)
  }

  choose(proposed: readonly string[]): string | undefined {
    return chooseIdentifierSyntax(proposed)
  }

  async operate(operation: Operation): Promise<number> {
    const { association } = operation
    const { abstractSyntax: sopClass } = operation.context
    const asked = { level: '', keys: [] as string[], matches: 0 }
    const outcome = await this.#find(operation, asked)
    await operation.dataSet?.discard()
    const complete = outcome.status === Status.success && !association.ended.aborted
    try {
      if (!association.ended.aborted) await association.respond(operation, outcome)
    } finally {
      this.#audit.query(personOf(association), { service: 'c-find', ...asked, complete, sopClass })
    }
    return outcome.status
  }

  /** Notes in `asked` what is asked for and how much was answered. */
  async #find(operation: Operation, asked: { level: string; keys: string[]; matches: number }): Promise<Outcome> {
    const { association, cancelled } = operation
    try {
      assertReadable(this.#audit)
      const { query, keys, levelName } = await this.#read(operation)
      asked.level = query.level
      asked.keys = query.match.map(({ path }) => path.join('.'))
      const status = keys.partly ? Status.pendingWithoutOptionalKeys : Status.pending
      const encoding = identifierEncoding(operation.context.transferSyntax)
      let yieldedAt = performance.now()
      for await (const found of this.#catalogue.find(query)) {
        // A page of answers that the socket takes at once would keep everything else waiting, C-CANCEL included.
        if (performance.now() - yieldedAt > TURN_MS) {
          await setImmediate()
          yieldedAt = performance.now()
        }
        if (cancelled.aborted) return { status: Status.cancel }
        const identifier = encodeDataSet(answer(keys, found, levelName, this.#aeTitle), encoding)
        await association.respond(operation, { status }, identifier)
        asked.matches += 1
      }
      return { status: cancelled.aborted ? Status.cancel : Status.success }
    } catch (error) {
      if (association.ended.aborted) return { status: Status.cancel }
      const outcome = queryOutcome(error)
      association.log.warn({ status: outcome.status }, 'C-FIND failed')
      association.log.debug({ err: error }, 'C-FIND failed')
      return outcome
    }
  }

  async #read(operation: Operation): Promise<{ query: Query; keys: Keys; levelName: string }> {
    const model = FIND_SOP_CLASSES.get(operation.context.abstractSyntax)
    if (!model) throw new Error('no C-FIND context')
    const identifier = await readIdentifier(operation)
    const { name, level } = readLevel(identifier, model)
    const keys = sortKeys(identifier, level, this.#catalogue)
    const { match, include } = keys
    return { query: { level, match, include, ownLevelOnly: true, fuzzy: false }, keys, levelName: name }
  }
}
