import { setTimeout as sleep } from 'node:timers/promises'
import type { CataloguePacks, CatalogueWriter } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import type { Ledger } from '../ingest/ledger.ts'
import { listSegments, segmentPath } from '../landing/files.ts'
import type { Landing } from '../landing/landing.ts'
import { scanSegment } from '../landing/scan.ts'
import { studyOfMember } from '../landing/tar.ts'
import type { Retirer } from './retire.ts'
import type { Sealer } from './seal.ts'

/** Studies in a segment, and the digests of one of them. */
interface Held {
  studies: Set<string>
  digests: Set<string>
}

export interface ClearLandingOptions {
  catalogue: Pick<CatalogueWriter, 'completeSegments'> & Pick<CataloguePacks, 'retiredSegments'>
  landing: Pick<Landing, 'folder' | 'endSegments'>
  ledger: Pick<Ledger, 'idle'>
  sealer: Pick<Sealer, 'seal'>
  retirer: Pick<Retirer, 'retire'>
  /** For the catalogue to have all of a segment; default 30 seconds. */
  patienceMs?: number
}

const PATIENCE_MS = 30_000
const ROUNDS_MAX = 3

/**
 * Brings all that the landing's files hold of a study into packs, and removes those files: members of other studies in them
 * are sealed too. Nothing is freed but by the retirer, which reads the packs again; so at no step fewer copies exist than
 * are wanted.
 */
export class ClearLanding {
  readonly #options: ClearLandingOptions

  constructor(options: ClearLandingOptions) {
    this.#options = options
  }

  /** Numbers of segments whose files hold anything under the study's name, known to the catalogue or not. */
  async segmentsOf(studyUid: string): Promise<Map<number, Held>> {
    const { landing } = this.#options
    const found = new Map<number, Held>()
    for (const segment of await listSegments(landing.folder)) {
      const held: Held = { studies: new Set(), digests: new Set() }
      try {
        for await (const { found: one } of scanSegment(segmentPath(landing.folder, segment))) {
          if (!one) continue
          const name = studyOfMember(one.member.name)
          held.studies.add(name)
          if (name === studyUid) held.digests.add(one.member.note.sha256)
        }
      } catch (error) {
        // It was retired meanwhile.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
      if (held.digests.size > 0) found.set(segment, held)
    }
    return found
  }

  /** Throws ArchiveError `conflict` with the reason where the landing can't let go of it now. */
  async clear(studyUid: string): Promise<void> {
    const { ledger, landing, sealer, retirer } = this.#options
    await sealer.seal(studyUid)
    for (let round = 0; ; round++) {
      const segments = await this.segmentsOf(studyUid)
      if (segments.size === 0) return
      if (round >= ROUNDS_MAX) {
        throw new ArchiveError('conflict', 'instances of the study keep coming; try again when it is quiet')
      }
      await landing.endSegments()
      await ledger.idle()
      const numbers = [...segments.keys()]
      await this.#complete(numbers)
      for (const other of new Set([...segments.values()].flatMap(({ studies }) => [...studies])))
        await sealer.seal(other)
      const stay = await retirer.retire(numbers)
      const [first] = stay
      if (first)
        throw new ArchiveError('conflict', `segment ${first[0]} of the landing holds the study and stays: ${first[1]}`)
    }
  }

  async #complete(segments: readonly number[]): Promise<void> {
    const deadline = Date.now() + (this.#options.patienceMs ?? PATIENCE_MS)
    for (;;) {
      const { catalogue } = this.#options
      // Of those that are retired a crash has left the files.
      const complete = new Set([...(await catalogue.completeSegments()), ...(await catalogue.retiredSegments())])
      const open = segments.find((segment) => !complete.has(segment))
      if (open === undefined) return
      if (Date.now() > deadline) {
        throw new ArchiveError('conflict', `segment ${open} of the landing holds what the catalogue does not know`)
      }
      await sleep(50)
    }
  }
}
