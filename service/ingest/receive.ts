import type {
  CatalogueJournal,
  CatalogueWriter,
  InstanceRecord,
  LandingLocation,
  NewInstance,
} from '../catalogue/ports.ts'
import { describeInstance, integerOf } from '../dicom/describe.ts'
import { admit, type Header, parseHeader } from '../dicom/part10.ts'
import type { InstanceIdentifiers } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import type { Landing } from '../landing/landing.ts'
import { memberName } from '../landing/tar.ts'
import { Beginning } from './body.ts'
import { coalesced } from './coalesce.ts'
import { MemoryGate } from './gate.ts'
import type { Ledger } from './ledger.ts'
import type { Incoming, Receipt, Receive, Source } from './ports.ts'
import { Turns } from './turns.ts'

export interface ReceiverOptions {
  landing: Landing
  catalogue: Pick<CatalogueWriter, 'digests' | 'relocate'> & Pick<CatalogueJournal, 'byDigest'>
  ledger: Ledger
  /** Whether stored bytes still have their digest; what can't be read hasn't. */
  isIntact(stored: InstanceRecord): Promise<boolean>
  /** Throws where nothing new may come: what is there already is still answered, and healed. */
  admit?(): void
  limits: {
    instanceBytesMax: number
    bufferedInstanceBytesMax: number
    ingestBufferBytes: number
    headerBytesMax: number
  }
  warn(message: string, details: object): void
}

/** The first bytes of an instance usually hold the whole header. */
const FIRST_LOOK_BYTES = 32 * 1024

/** How long a sender waits for memory before its instance goes to disk unbuffered. */
const GATE_PATIENCE_MS = 500

/** One instance on its way. */
interface Arrival {
  identifiers: InstanceIdentifiers
  header: Header
  /** Held by the header as long as something may be asked of it. */
  headerBytes: number
  source: Source
}

/** An instance whose bytes have all come, in memory or on disk, and are not part of the archive yet. */
interface Arrived {
  sha256: string
  sizeBytes: number
  land(received: string): Promise<LandingLocation>
  discard(): Promise<void>
}

/** The use case "an instance arrives": admit, land, acknowledge, record. Who reads after that sees it. */
export class Receiver implements Receive {
  readonly #options: ReceiverOptions
  readonly #gate: MemoryGate
  readonly #turns = new Turns()

  constructor(options: ReceiverOptions) {
    this.#options = options
    this.#gate = new MemoryGate(options.limits.ingestBufferBytes, GATE_PATIENCE_MS)
  }

  async receive(incoming: Incoming): Promise<Receipt> {
    this.#options.ledger.assertOpen()
    const beginning = new Beginning(coalesced(incoming.body), this.#gate)
    let identifiers: Partial<InstanceIdentifiers> = {}
    try {
      const header = await this.#header(beginning)
      identifiers = header.identifiers
      const admitted = admit(header, beginning.whole)
      assertExpected(admitted, incoming.expected ?? {})
      const source = presentable(incoming.source)
      const arrival = { identifiers: admitted, header, headerBytes: beginning.sizeBytes, source }
      return await this.#takeIn(arrival, beginning)
    } catch (error) {
      await beginning.abandon()
      if (error instanceof ArchiveError) error.identifiers = { ...identifiers, ...error.identifiers }
      throw error
    } finally {
      beginning.release()
    }
  }

  /** Reads on while identifiers are missing, and while what is missing of the header will be in memory anyway. */
  async #header(beginning: Beginning): Promise<Header> {
    const { bufferedInstanceBytesMax, headerBytesMax } = this.#options.limits
    for (let want = FIRST_LOOK_BYTES; ; want = Math.min(beginning.sizeBytes * 8, headerBytesMax)) {
      const granted = await beginning.readUpTo(want)
      const header = parseHeader(beginning.joined(), beginning.whole)
      if (!granted && isShort(header)) {
        throw new ArchiveError('busy', 'no memory for so long a header now; send the instance again later')
      }
      if (!granted) return header
      const enough = header.complete || beginning.sizeBytes > bufferedInstanceBytesMax
      if (beginning.whole || (enough && !isShort(header)) || want === headerBytesMax) return header
    }
  }

  /**
   * Two senders of one instance take turns at the archive, but not while their bytes are coming: a slow one must not
   * keep the other waiting.
   */
  async #takeIn(arrival: Arrival, beginning: Beginning): Promise<Receipt> {
    const { catalogue, ledger } = this.#options
    const { sopInstanceUid } = arrival.identifiers
    const { turn, leave } = this.#turns.join(sopInstanceUid)
    // Asked for while the rest of the instance is still coming.
    const early = catalogue.digests(sopInstanceUid)
    early.catch(() => undefined)
    const arrived = await this.#arrived(arrival, beginning).catch((error) => {
      leave()
      throw error
    })
    return new Promise<Receipt>((acknowledge, refuse) => {
      turn(async (changed) => {
        const known = changed ? await catalogue.digests(sopInstanceUid) : await early
        const { receipt, instance } = await this.#keep(arrival, arrived, known)
        acknowledge(receipt)
        // The next one with this UID must find this one in the catalogue.
        if (instance) await ledger.record(instance, arrival.headerBytes)
      })
        .catch(async (error) => {
          await arrived.discard()
          refuse(error)
        })
        .finally(leave)
    })
  }

  /** Resolves when the last byte is there. What doesn't fit into memory streams into a segment of its own. */
  async #arrived({ identifiers, source }: Arrival, beginning: Beginning): Promise<Arrived> {
    const { landing, limits } = this.#options
    const name = memberName(identifiers.studyUid, identifiers.seriesUid, identifiers.sopInstanceUid)
    await beginning.readUpTo(limits.bufferedInstanceBytesMax + 1)
    if (!beginning.whole) {
      const draft = await landing.stream({ name, source }, beginning.stream(), limits.instanceBytesMax)
      return { ...draft, land: draft.publish }
    }
    const { sizeBytes } = beginning
    if (sizeBytes > limits.instanceBytesMax) {
      throw new ArchiveError('too_large', `larger than the limit of ${limits.instanceBytesMax} bytes`)
    }
    const sha256 = beginning.sha256()
    const land = (received: string): Promise<LandingLocation> =>
      landing.append({ name, sizeBytes, note: { firn: 1, sha256, received, source } }, beginning.chunks)
    return { sha256, sizeBytes, land, discard: async () => undefined }
  }

  /** Resolves when the bytes are durable; `instance` is what the catalogue has to learn of. */
  async #keep(
    { header, ...arrival }: Arrival,
    arrived: Arrived,
    known: readonly string[],
  ): Promise<{ receipt: Receipt; instance?: NewInstance }> {
    const { sha256, sizeBytes } = arrived
    const receipt = { ...arrival.identifiers, sha256, sizeBytes }
    // When its turn has come, so that a rebuild finds copies of one instance in the order in which they were kept.
    const receivedAt = new Date().toISOString()
    if (known.includes(sha256)) {
      await this.#keepAgain(receipt, arrived, receivedAt)
      return { receipt: { ...receipt, outcome: 'duplicate' } }
    }
    this.#options.admit?.()
    await this.#options.ledger.room(arrival.headerBytes)
    const location = await arrived.land(receivedAt)
    const instance = newInstance(header, { ...receipt, receivedAt, source: arrival.source, location })
    return { receipt: { ...receipt, outcome: known.length === 0 ? 'stored' : 'conflict' }, instance }
  }

  /** Bytes that are there already need no second copy, unless the first one is damaged: then this one takes its place. */
  async #keepAgain(
    { sopInstanceUid, sha256 }: Omit<Receipt, 'outcome'>,
    arrived: Arrived,
    receivedAt: string,
  ): Promise<void> {
    const { catalogue, landing, isIntact, warn } = this.#options
    const stored = await catalogue.byDigest(sha256)
    if (stored && (await isIntact(stored))) {
      await arrived.discard()
      return
    }
    const location = await arrived.land(receivedAt)
    await catalogue.relocate(sopInstanceUid, sha256, location)
    landing.settled(location)
    warn('a damaged copy was replaced by one that came again', { sha256, was: stored?.location, is: location })
  }
}

const isShort = (header: Header): boolean => Object.keys(header.identifiers).length < 4

/** A sender's own words go into records that are kept for decades: printable, and no longer than they need be. */
function presentable({ protocol, name, address }: Source): Source {
  const clean = (text: string): string =>
    text
      .replace(/[^\x20-\x7e]/g, '?')
      .trim()
      .slice(0, 64)
  return { protocol, name: clean(name), address: clean(address) }
}

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
