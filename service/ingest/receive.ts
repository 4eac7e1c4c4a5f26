import type {
  CatalogueJournal,
  CatalogueWriter,
  InstanceRecord,
  LandingLocation,
  Location,
  NewInstance,
} from '../catalogue/ports.ts'
import { describeInstance, integerOf } from '../dicom/describe.ts'
import { admit, type Header, parseHeader } from '../dicom/part10.ts'
import type { InstanceIdentifiers } from '../dicom/types.ts'
import { ArchiveError, isArchiveError } from '../errors.ts'
import type { Landing } from '../landing/landing.ts'
import { memberName } from '../landing/tar.ts'
import { Beginning } from './body.ts'
import { coalesced } from './coalesce.ts'
import { MemoryGate } from './gate.ts'
import { Landings } from './landings.ts'
import type { Ledger } from './ledger.ts'
import type { Incoming, Mirrored, MirrorPort, Receipt, Receive, Source } from './ports.ts'
import { tee } from './tee.ts'
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
  /** The other site; undefined where there is none. */
  mirror?: MirrorPort
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
  fromPeer: Incoming['fromPeer']
}

/** An instance whose bytes have all come, in memory or on disk, and are not part of the archive yet. */
interface Arrived {
  sha256: string
  sizeBytes: number
  land(received: string): Promise<LandingLocation>
  discard(): Promise<void>
  /** Sends it to the other site from memory, or what was sent on the way; undefined while that is away. */
  mirrored(): Mirrored | undefined
  /** Breaks off what goes to the other site, if anything does. */
  unmirror(): void
}

interface Kept {
  receipt: Receipt
  /** What the catalogue has to learn of. */
  instance?: NewInstance
  /** The sender wanted more than was done. The instance is kept all the same, and will succeed when it is sent again. */
  refusal?: ArchiveError
}

/** The use case "an instance arrives": admit, land, acknowledge, record. Who reads after that sees it. */
export class Receiver implements Receive {
  readonly #options: ReceiverOptions
  readonly #gate: MemoryGate
  readonly #turns = new Turns()
  readonly #landings = new Landings()

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
      const { fromPeer } = incoming
      if (!fromPeer) this.#assertServed(source)
      const arrival = { identifiers: admitted, header, headerBytes: beginning.sizeBytes, source, fromPeer }
      return await this.#takeIn(arrival, beginning)
    } catch (error) {
      await beginning.abandon()
      if (error instanceof ArchiveError) error.identifiers = { ...identifiers, ...error.identifiers }
      throw error
    } finally {
      beginning.release()
    }
  }

  #assertServed({ name }: Source): void {
    const why = this.#options.mirror?.refusal(name)
    if (why !== undefined) throw new ArchiveError('unavailable', why)
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
    const elsewhere = await this.#landings.ofSame(arrival.fromPeer && { sopInstanceUid, sha256: arrived.sha256 })
    if (elsewhere) {
      leave()
      await arrived.discard()
      if (elsewhere === 'other') throw new ArchiveError('busy', 'other bytes with this UID are being stored')
      const { sha256, sizeBytes } = arrived
      return { ...arrival.identifiers, sha256, sizeBytes, outcome: 'duplicate', durability: 'both' }
    }
    return new Promise<Receipt>((acknowledge, refuse) => {
      turn(async (changed) => {
        const known = changed ? await catalogue.digests(sopInstanceUid) : await early
        const { receipt, instance, refusal } = await this.#keep(arrival, arrived, known)
        if (refusal) refuse(refusal)
        else acknowledge(receipt)
        // The next one with this UID must find this one in the catalogue.
        if (instance) await ledger.record(instance, arrival.headerBytes)
        if (instance?.owed) this.#options.mirror?.owing()
      })
        .catch(async (error) => {
          arrived.unmirror()
          await arrived.discard()
          refuse(error)
        })
        .finally(leave)
    })
  }

  /** Resolves when the last byte is there. What doesn't fit into memory streams into a segment of its own. */
  async #arrived(arrival: Arrival, beginning: Beginning): Promise<Arrived> {
    const { identifiers, source, fromPeer } = arrival
    const { landing, limits } = this.#options
    const name = memberName(identifiers.studyUid, identifiers.seriesUid, identifiers.sopInstanceUid)
    await beginning.readUpTo(limits.bufferedInstanceBytesMax + 1)
    if (!beginning.whole) {
      const mirrored = this.#begin(arrival)
      const body = mirrored ? tee(beginning.stream(), mirrored) : beginning.stream()
      const draft = await landing.stream({ name, source }, body, limits.instanceBytesMax).catch((error) => {
        mirrored?.abandon()
        throw error
      })
      return proved(fromPeer, {
        ...draft,
        land: draft.publish,
        mirrored: () => mirrored,
        unmirror: () => mirrored?.abandon(),
      })
    }
    const { sizeBytes } = beginning
    if (sizeBytes > limits.instanceBytesMax) {
      throw new ArchiveError('too_large', `larger than the limit of ${limits.instanceBytesMax} bytes`)
    }
    const sha256 = beginning.sha256()
    const land = (received: string): Promise<LandingLocation> =>
      landing.append({ name, sizeBytes, note: { firn: 1, sha256, received, source } }, beginning.chunks)
    let mirrored: Mirrored | undefined
    const begin = (): Mirrored | undefined => {
      if (mirrored) return mirrored
      mirrored = this.#begin(arrival)
      // Nobody waits here: what is in memory is in memory anyway.
      for (const chunk of mirrored ? beginning.chunks : []) void mirrored?.write(chunk)
      return mirrored
    }
    return proved(fromPeer, {
      sha256,
      sizeBytes,
      land,
      discard: async () => undefined,
      mirrored: begin,
      unmirror: () => mirrored?.abandon(),
    })
  }

  /** What the other site sent isn't sent back to it. */
  #begin({ identifiers, source, fromPeer }: Arrival): Mirrored | undefined {
    return fromPeer ? undefined : this.#options.mirror?.begin({ sopInstanceUid: identifiers.sopInstanceUid, source })
  }

  /** Resolves when the bytes are durable here, and at the other site if it is there. */
  async #keep({ header, ...arrival }: Arrival, arrived: Arrived, known: readonly string[]): Promise<Kept> {
    const { mirror, ledger } = this.#options
    const { sha256, sizeBytes } = arrived
    const proof = arrival.fromPeer?.proof()
    // When its turn has come, so that a rebuild finds copies of one instance in the order in which they were kept.
    const receivedAt = proof?.receivedAt ?? new Date().toISOString()
    const copy = { ...arrival.identifiers, sha256, sizeBytes }
    const last = { sha256, sizeBytes, receivedAt, served: known.length === 0 || known[0] === sha256 }
    if (known.includes(sha256)) {
      const location = await this.#keepAgain(copy, arrived, receivedAt)
      const durability = await this.#durabilityOfKnown(copy, arrived, last, proof !== undefined)
      const receipt: Receipt = { ...copy, outcome: 'duplicate', durability }
      if (!proof?.served || known.length === 1) return { receipt, ...this.#refusal(arrival, durability) }
      // The other site serves a copy that may be only kept here: the catalogue says which it is to be.
      const again = { ...copy, receivedAt, source: arrival.source, location }
      return { receipt, instance: { ...newInstance(header, again), servedThere: true } }
    }
    this.#options.admit?.()
    await ledger.room(arrival.headerBytes)
    const outcome = known.length === 0 ? 'stored' : 'conflict'
    const landed = arrived.land(receivedAt)
    landed.catch(() => undefined)
    this.#landings.begin(copy, landed)
    try {
      const durability = proof ? 'both' : ((await arrived.mirrored()?.finish(last)) ?? 'local')
      // What the other site sends is kept here or refused: to pass it back to the sender would be no second copy.
      const location = await (proof ? landed : landed.catch((error) => this.#throughPeer(error, durability, copy)))
      if (!location) {
        const receipt: Receipt = { ...copy, outcome, durability: 'local' }
        return { receipt, ...this.#refusal(arrival, 'local') }
      }
      const settled = { ...copy, receivedAt, source: arrival.source, location }
      const owed = mirror !== undefined && durability === 'local'
      const instance = { ...newInstance(header, settled), owed, servedThere: proof?.served ?? false }
      const receipt: Receipt = { ...copy, outcome, durability }
      return { receipt, instance, ...this.#refusal(arrival, durability) }
    } finally {
      await landed.catch(() => undefined)
      this.#landings.end(copy)
    }
  }

  /** One site is not enough for a source that wants both, whichever it is, and however often it asks. */
  #refusal(
    { fromPeer, source }: Pick<Arrival, 'fromPeer' | 'source'>,
    durability: 'both' | 'local',
  ): Pick<Kept, 'refusal'> {
    if (fromPeer || durability === 'both' || !this.#options.mirror?.isStrict(source.name)) return {}
    return { refusal: new ArchiveError('unavailable', 'the other site did not confirm it, and this source wants both') }
  }

  /** Where our own storage failed and the other site has the bytes, they are safe, and it sends them to us later. */
  async #throughPeer(
    error: unknown,
    durability: 'both' | 'local',
    copy: { sopInstanceUid: string; sha256: string },
  ): Promise<undefined> {
    const isStorage = isArchiveError(error, 'out_of_space') || isArchiveError(error, 'storage_failed')
    if (!isStorage || durability !== 'both' || !this.#options.mirror) throw error
    await this.#options.mirror.oweUs(copy).catch(() => {
      throw error
    })
    this.#options.warn('stored at the other site alone: the landing fails', { reason: error.message })
  }

  /** Bytes that this site had already may be owed to the other one: then they go there now. */
  async #durabilityOfKnown(
    copy: InstanceIdentifiers & { sha256: string },
    arrived: Arrived,
    last: Parameters<Mirrored['finish']>[0],
    fromPeer: boolean,
  ): Promise<'both' | 'local'> {
    const { mirror } = this.#options
    if (!mirror) return 'local'
    if (!(await mirror.isOwed(copy.sha256))) {
      arrived.unmirror()
      return 'both'
    }
    const durability = fromPeer ? 'both' : await this.#given(copy, arrived, last)
    if (durability === 'both') await mirror.paid(copy)
    return durability
  }

  /** The other site may be giving us the very same, and wait for us: it gets its answer meanwhile. */
  async #given(
    copy: InstanceIdentifiers & { sha256: string },
    arrived: Arrived,
    last: Parameters<Mirrored['finish']>[0],
  ): Promise<'both' | 'local'> {
    this.#landings.begin(copy, Promise.resolve())
    try {
      return (await arrived.mirrored()?.finish(last)) ?? 'local'
    } finally {
      this.#landings.end(copy)
    }
  }

  /** Bytes that are there already need no second copy, unless the first one is damaged: then this one takes its place. */
  async #keepAgain(
    { sopInstanceUid, sha256 }: InstanceIdentifiers & { sha256: string },
    arrived: Arrived,
    receivedAt: string,
  ): Promise<Location> {
    const { catalogue, landing, isIntact, warn } = this.#options
    const stored = await catalogue.byDigest(sha256)
    if (stored && (await isIntact(stored))) {
      await arrived.discard()
      return stored.location
    }
    const location = await arrived.land(receivedAt)
    await catalogue.relocate(sopInstanceUid, sha256, location)
    landing.settled(location)
    warn('a damaged copy was replaced by one that came again', { sha256, was: stored?.location, is: location })
    return location
  }
}

/** Throws ArchiveError `aborted` unless the bytes are the ones that the other site holds. */
async function proved(fromPeer: Incoming['fromPeer'], arrived: Arrived): Promise<Arrived> {
  if (!fromPeer || fromPeer.proof().sha256 === arrived.sha256) return arrived
  await arrived.discard()
  throw new ArchiveError('aborted', 'the bytes changed on their way from the other site')
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
