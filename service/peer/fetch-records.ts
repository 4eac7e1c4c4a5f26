import type { PeerLink } from '../../replication/ports.ts'
import type { Records } from '../corrections/records.ts'
import { fillMissing } from '../corrections/with-records.ts'

export interface FetchRecordsOptions {
  catalogue: Parameters<typeof fillMissing>[0]
  records: Pick<Records, 'get' | 'put'>
  link: Pick<PeerLink, 'record'>
}

const PER_PASS = 200

/** Brings over the records that the other site's events name (service/corrections/records.ts) and that aren't here yet. */
export async function fetchRecords({ catalogue, records, link }: FetchRecordsOptions): Promise<void> {
  let fetched = 0
  for (const digest of await catalogue.missingRecords(PER_PASS)) {
    const text = (await records.get(digest)) === undefined ? await link.record(digest) : undefined
    // Kept under the digest of what came: another text than the one that was asked for changes nothing here.
    if (text !== undefined) await records.put(text)
    fetched += 1
  }
  if (fetched > 0) await fillMissing(catalogue, records)
}
