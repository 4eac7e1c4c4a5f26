import type { CatalogueWriter, LandingLocation, NewInstance } from '../catalogue/ports.ts'
import { describeInstance, integerOf } from '../dicom/describe.ts'
import { admit, type Header, parseHeader } from '../dicom/part10.ts'
import type { InstanceIdentifiers } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import type { Landing } from '../landing/landing.ts'
import { memberName } from '../landing/tar.ts'
import { Beginning } from './body.ts'
import { MemoryGate } from './gate.ts'
import { KeyLock } from './key-lock.ts'
import type { Ledger } from './ledger.ts'
import type { Incoming, Receipt, Receive } from './ports.ts'

export interface ReceiverOptions {
  landing: Landing
  catalogue: Pick<CatalogueWriter, 'digests'>
  ledger: Ledger
  limits: {
    instanceBytesMax: number
    bufferedInstanceBytesMax: number
    ingestBufferBytes: number
    headerBytesMax: number
  }
}

/** The first chunk of a stream usually holds the whole header. */
const FIRST_LOOK_BYTES = 32 * 1024

/** How long a sender waits for memory before its instance goes to disk unbuffered. */
const GATE_PATIENCE_MS = 500

/** The use case "an instance arrives": admit, land, record, acknowledge. */
export class Receiver implements Receive {
  readonly #options: ReceiverOptions
  readonly #gate: MemoryGate
  readonly #locks = new KeyLock()

  constructor(options: ReceiverOptions) {
    this.#options = options
    this.#gate = new MemoryGate(options.limits.ingestBufferBytes, GATE_PATIENCE_MS)
  }

  async receive(incoming: Incoming): Promise<Receipt> {
    this.#options.ledger.assertOpen()
    const beginning = new Beginning(incoming.body, this.#gate)
    let identifiers: Partial<InstanceIdentifiers> = {}
    try {
      const header = await this.#header(beginning)
      identifiers = header.identifiers
      const admitted = admit(header, beginning.whole)
      assertExpected(admitted, incoming.expected ?? {})
      // Asked for while the rest of the instance is still coming.
      const known = this.#options.catalogue.digests(admitted.sopInstanceUid)
      known.catch(() => undefined)
      // What doesn't fit into memory, now or at all, streams into a segment of its own.
      await beginning.readUpTo(this.#options.limits.bufferedInstanceBytesMax + 1)
      const work = async () => this.#land(incoming, beginning, header, admitted, await known)
      return await this.#locks.run(admitted.sopInstanceUid, work)
    } catch (error) {
      await beginning.abandon()
      if (error instanceof ArchiveError) error.identifiers = { ...identifiers, ...error.identifiers }
      throw error
    } finally {
      beginning.release()
    }
  }

  /** The first chunk usually holds the whole header; further ones are read while identifiers are missing. */
  async #header(beginning: Beginning): Promise<Header> {
    const { bufferedInstanceBytesMax, headerBytesMax } = this.#options.limits
    for (let want = FIRST_LOOK_BYTES; ; want = Math.min(beginning.sizeBytes * 8, headerBytesMax)) {
      if (!(await beginning.readUpTo(want))) {
        throw new ArchiveError('busy', 'no memory for so long a header now; send the instance again later')
      }
      const header = parseHeader(beginning.joined(), beginning.whole)
      // What a small instance has behind a cut header is worth waiting for: it is read anyway.
      const enough = header.complete || beginning.sizeBytes > bufferedInstanceBytesMax
      if (beginning.whole || (enough && !isShort(header)) || want === headerBytesMax) return header
    }
  }

  async #land(
    incoming: Incoming,
    beginning: Beginning,
    header: Header,
    identifiers: InstanceIdentifiers,
    known: readonly string[],
  ): Promise<Receipt> {
    const landed = beginning.whole
      ? await this.#landBuffered(incoming, beginning, identifiers, known)
      : await this.#landStreamed(incoming, beginning, identifiers, known)
    const { sha256, sizeBytes, receivedAt, location } = landed
    const receipt = { ...identifiers, sha256, sizeBytes }
    if (!location) return { ...receipt, outcome: 'duplicate' }
    const instance = newInstance(header, { ...receipt, receivedAt, source: incoming.source, location })
    return { ...receipt, outcome: await this.#options.ledger.record(instance) }
  }

  async #landBuffered(
    { source }: Incoming,
    beginning: Beginning,
    identifiers: InstanceIdentifiers,
    known: readonly string[],
  ): Promise<Landed> {
    const { sizeBytes } = beginning
    const sha256 = beginning.sha256()
    const receivedAt = new Date().toISOString()
    if (known.includes(sha256)) return { sha256, sizeBytes, receivedAt }
    const note = { firn: 1 as const, sha256, received: receivedAt, source }
    const member = { name: nameOf(identifiers), sizeBytes, note }
    const location = await this.#options.landing.append(member, beginning.chunks)
    return { sha256, sizeBytes, receivedAt, location }
  }

  /** A large instance is on disk before its digest is known; one that was there already is dropped again. */
  async #landStreamed(
    { source }: Incoming,
    beginning: Beginning,
    identifiers: InstanceIdentifiers,
    known: readonly string[],
  ): Promise<Landed> {
    const receivedAt = new Date().toISOString()
    const streamed = await this.#options.landing.stream(
      { name: nameOf(identifiers), note: { firn: 1, received: receivedAt, source } },
      beginning.stream(),
      { bytesMax: this.#options.limits.instanceBytesMax, known },
    )
    const { sha256, sizeBytes, at } = streamed
    return at ? { sha256, sizeBytes, receivedAt, location: at } : { sha256, sizeBytes, receivedAt }
  }
}

interface Landed {
  sha256: string
  sizeBytes: number
  receivedAt: string
  /** Missing when these bytes were there already. */
  location?: LandingLocation
}

const nameOf = ({ studyUid, seriesUid, sopInstanceUid }: InstanceIdentifiers): string =>
  memberName(studyUid, seriesUid, sopInstanceUid)

const isShort = (header: Header): boolean => Object.keys(header.identifiers).length < 4

function assertExpected(found: InstanceIdentifiers, expected: NonNullable<Incoming['expected']>): void {
  if (expected.studyUid !== undefined && expected.studyUid !== found.studyUid) {
    throw new ArchiveError(
      'study_mismatch',
      `the instance belongs to study ${found.studyUid}, not ${expected.studyUid}`,
    )
  }
  if (expected.sopInstanceUid !== undefined && expected.sopInstanceUid !== found.sopInstanceUid) {
    throw new ArchiveError('instance_mismatch', `announced as ${expected.sopInstanceUid}, is ${found.sopInstanceUid}`)
  }
  if (expected.sopClassUid !== undefined && expected.sopClassUid !== found.sopClassUid) {
    throw new ArchiveError(
      'instance_mismatch',
      `announced as SOP class ${expected.sopClassUid}, is ${found.sopClassUid}`,
    )
  }
}

/** What the catalogue needs of a landed instance, from its header. */
export function newInstance(
  header: Header,
  landed: Pick<NewInstance, keyof InstanceIdentifiers | 'sha256' | 'sizeBytes' | 'receivedAt' | 'source' | 'location'>,
): NewInstance {
  const attributes = describeInstance(header)
  return {
    ...landed,
    dataSetOffset: header.dataSetOffset,
    transferSyntaxUid: header.transferSyntaxUid,
    instanceNumber: integerOf(attributes.instance, '00200013') ?? null,
    numberOfFrames: integerOf(attributes.instance, '00280008') ?? null,
    attributes,
  }
}
