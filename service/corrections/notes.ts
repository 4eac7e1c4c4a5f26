import type { CatalogueJournal, InstanceRecord } from '../catalogue/ports.ts'
import type { DicomJson } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import type { Actor } from '../events/event.ts'
import type { Incoming, Receipt, Receive, Source } from '../ingest/ports.ts'
import { REJECTION_REASONS } from './codes.ts'
import type { Corrections } from './correct.ts'
import { KEY_OBJECT_SELECTION, rejectionNote } from './key-object.ts'
import type { ReadCorrections } from './ports.ts'

export interface NotesOptions {
  receive: Receive
  catalogue: Pick<CatalogueJournal, 'byDigest'>
  corrections: Pick<ReadCorrections, 'rejections' | 'rejectionsOf'>
  correct: Pick<Corrections, 'rejectNamed' | 'restoreSentAgain'>
  /** DICOM JSON of a stored instance. */
  describe(record: InstanceRecord): Promise<Buffer>
  /** Whether documents that reject instances do so. */
  apply: boolean
}

/**
 * Instances that arrive and have to do with rejection (IHE RAD-66): Key Object Selection documents that reject others, and
 * instances that are sent again after they were rejected. All are kept first, as any instance is. A sender gets its answer
 * when the rejection is durable and seen; where it can't be, an error, and who then sends again completes it.
 */
export class RejectionNotes implements Receive {
  readonly #options: NotesOptions

  constructor(options: NotesOptions) {
    this.#options = options
  }

  async receive(incoming: Incoming): Promise<Receipt> {
    const receipt = await this.#options.receive.receive(incoming)
    const actor = actorOf(incoming.source)
    try {
      if (receipt.sopClassUid === KEY_OBJECT_SELECTION && this.#options.apply) await this.#apply(receipt, actor)
      // One that is new can only have been rejected in advance, and that is how it stays.
      if (receipt.outcome === 'duplicate') await this.#sentAgain(receipt, actor)
    } catch (error) {
      if (error instanceof ArchiveError) error.identifiers = { ...receipt, ...error.identifiers }
      throw error
    }
    return receipt
  }

  async #apply({ sha256, sopInstanceUid }: Receipt, actor: Actor): Promise<void> {
    const record = await this.#options.catalogue.byDigest(sha256)
    if (!record) throw new ArchiveError('unavailable', 'the document is kept, but the catalogue does not have it yet')
    const note = rejectionNote(JSON.parse((await this.#options.describe(record)).toString('utf8')) as DicomJson)
    if (!note) return
    // The same document sent again is the same rejection, also after it was taken back.
    const rejections = note.studies.map(({ studyUid, sopInstanceUids }, index) => ({
      rejection: `note-${sha256.slice(0, 40)}-${index}`,
      studyUid,
      sopInstanceUids,
      code: note.code,
      reason: REJECTION_REASONS[note.code]?.meaning ?? '',
      note: sopInstanceUid,
    }))
    for (const one of rejections) {
      const known = (await this.#options.corrections.rejections(one.studyUid)).find(({ id }) => id === one.rejection)
      if (known?.instances !== one.sopInstanceUids.length) await this.#options.correct.rejectNamed([one], actor)
    }
  }

  async #sentAgain({ studyUid, sopInstanceUid }: Receipt, actor: Actor): Promise<void> {
    const { corrections, correct } = this.#options
    for (const { rejection, code } of await corrections.rejectionsOf(sopInstanceUid)) {
      if (REJECTION_REASONS[code]?.sentAgain !== 'restored') continue
      await correct.restoreSentAgain({ studyUid, rejection, sopInstanceUid }, actor)
    }
  }
}

const actorOf = ({ name, address }: Source): Actor => ({ name, role: 'send', from: address })
