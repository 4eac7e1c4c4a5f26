import type { Pair } from '../../replication/pair.ts'
import type { PeerLink } from '../../replication/ports.ts'
import type { CatalogueReplication } from '../catalogue/ports.ts'
import type { MirrorPort } from '../ingest/ports.ts'

export interface MirrorPortOptions {
  pair: Pair
  link: Pick<PeerLink, 'owe'>
  catalogue: Pick<CatalogueReplication, 'isOwed' | 'paid'>
  /** An instance goes to the other site, or would if it were there. */
  arrived(): void
}

/** The other site as receiving sees it. Whatever did not get there speaks against both being equal. */
export function mirrorPort({ pair, link, catalogue, arrived }: MirrorPortOptions): MirrorPort {
  return {
    refusal: (source) => pair.mirror.refusal(source),
    isStrict: (source) => pair.mirror.isStrict(source),
    begin: (copy) => {
      arrived()
      const mirrored = pair.mirror.begin(copy)
      if (!mirrored) pair.doubt({ parted: true })
      return (
        mirrored && {
          ...mirrored,
          finish: async (last) => {
            const durability = await mirrored.finish(last)
            if (durability === 'local') pair.doubt({ parted: true })
            return durability
          },
        }
      )
    },
    owing: () => pair.doubt({ parted: true }),
    // What the other site had it may have lost since: until a comparison has proved the opposite it is asked again.
    isOwed: async (sha256) => !pair.inSync || (await catalogue.isOwed(sha256)),
    paid: (copy) => catalogue.paid([copy]),
    oweUs: async (copy) => {
      pair.doubt()
      await link.owe([copy])
    },
  }
}
