import { LIST_MAX } from '../../replication/compare.ts'
import type { CopyId, DigestAnswer, DigestEntry, DigestRange, LocalCopies } from '../../replication/ports.ts'
import { Sums } from '../../replication/sums.ts'
import type { CatalogueReplication, InstanceRecord } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import type { OpenInstances } from '../retrieve/ports.ts'

/** A list that was asked for because it is short may have grown since. */
const LIST_SLACK = 4

/** What this site holds, for the other one. */
export function localCopies(catalogue: CatalogueReplication, instances: OpenInstances): LocalCopies {
  const find = async (copy: CopyId): Promise<InstanceRecord & { served: boolean }> => {
    const found = await catalogue.copy(copy)
    if (!found) throw new ArchiveError('not_found', `no copy with the digest ${copy.sha256}`)
    return found
  }
  return {
    owed: (after, limit) => catalogue.owed(after, limit),
    owedCount: () => catalogue.owedCount(),
    owe: (copies) => catalogue.owe(copies),
    paid: (copies) => catalogue.paid(copies),
    describe: async (copy) => {
      const found = await catalogue.copy(copy)
      if (!found) return undefined
      const { sopInstanceUid, sha256, sizeBytes, receivedAt, source, served } = found
      return { sopInstanceUid, sha256, sizeBytes, receivedAt, source, served }
    },
    async *read(copy) {
      yield* instances.open(await find(copy)).bytes()
    },
    digests: (range) => digests(catalogue, range),
  }
}

async function digests(catalogue: CatalogueReplication, { prefix, list }: DigestRange): Promise<DigestAnswer> {
  if (!/^([0-9a-f]{2}){0,8}$/.test(prefix)) throw new ArchiveError('invalid_request', 'no beginning of a digest')
  const sums = new Sums(prefix)
  const copies: DigestEntry[] = []
  for await (const entry of catalogue.copiesFrom(prefix)) {
    if (!list) sums.add(entry)
    else if (copies.push(entry) > LIST_MAX * LIST_SLACK) {
      throw new ArchiveError('busy', `more than ${LIST_MAX} copies below ${prefix}: compare again`)
    }
  }
  return list ? { copies } : { parts: sums.parts() }
}
