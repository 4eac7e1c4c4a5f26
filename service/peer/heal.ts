import { createHash } from 'node:crypto'
import type { PeerLink } from '../../replication/ports.ts'
import type { CatalogueWriter, InstanceRecord, LandingLocation } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import type { Landing } from '../landing/landing.ts'
import { memberName } from '../landing/tar.ts'

export interface HealOptions {
  link: Pick<PeerLink, 'fetch'>
  landing: Landing
  catalogue: Pick<CatalogueWriter, 'relocate'>
  /** Up to this size an instance shares a segment with others. */
  bufferedBytesMax: number
  warn(message: string, details: object): void
}

/** Brings instances back from the other site that this one's storage can't give any more. */
export function healer(options: HealOptions): (record: InstanceRecord) => Promise<InstanceRecord> {
  const underway = new Map<string, Promise<InstanceRecord>>()
  return (record) => {
    const healing = underway.get(record.sha256) ?? heal(options, record).finally(() => underway.delete(record.sha256))
    underway.set(record.sha256, healing)
    return healing
  }
}

async function heal(options: HealOptions, record: InstanceRecord): Promise<InstanceRecord> {
  const { link, landing, catalogue, warn } = options
  const body = await link.fetch(record.sha256)
  if (!body) throw new ArchiveError('not_found', 'the other site has it not either')
  const location = await land(options, record, body)
  await catalogue.relocate(record.sopInstanceUid, record.sha256, location)
  landing.settled(location)
  const { sha256, location: was } = record
  warn('an instance was brought back from the other site', { sha256, was, is: location })
  return { ...record, location }
}

/** Nothing is published before the digest was compared. */
async function land(
  { landing, bufferedBytesMax }: HealOptions,
  record: InstanceRecord,
  body: AsyncIterable<Buffer>,
): Promise<LandingLocation> {
  const { studyUid, seriesUid, sopInstanceUid, sha256, sizeBytes, source, receivedAt: received } = record
  const name = memberName(studyUid, seriesUid, sopInstanceUid)
  if (sizeBytes > bufferedBytesMax) {
    const draft = await landing.stream({ name, source }, body, sizeBytes)
    if (draft.sha256 === sha256) return draft.publish(received)
    await draft.discard()
    throw changed()
  }
  const chunks: Buffer[] = []
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > sizeBytes) throw changed()
    hash.update(chunk)
    chunks.push(chunk)
  }
  if (hash.digest('hex') !== sha256) throw changed()
  return landing.append({ name, sizeBytes, note: { firn: 1, sha256, received, source } }, chunks)
}

const changed = (): ArchiveError => new ArchiveError('aborted', 'the other site gave other bytes')
