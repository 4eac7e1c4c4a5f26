import { ArchiveError } from './errors.ts'
import type { RecordEvents } from './events/ports.ts'
import type { SiteControl } from './http/site-routes.ts'
import type { Peering } from './peering.ts'

/** A removal that nobody approves is forgotten after so long. */
const APPROVAL_MS = 60 * 60_000

interface Asked {
  site: string
  reason: string
  person: string
  at: number
}

/** What an administrator sees of the pair and may do with it. To remove a site takes two persons. */
export function siteControl(
  { pair, memory }: Peering,
  own: { site: string; name: string },
  events: RecordEvents,
): SiteControl {
  let asked: Asked | undefined
  return {
    status: async () => {
      const { peer, confirmedHead, lastComparison, resync, ...rest } = await pair.status()
      return {
        ...own,
        ...rest,
        peer: { site: peer.site ?? null, name: peer.name ?? null, head: peer.head ?? null },
        confirmedHead: confirmedHead ?? null,
        resync: { ...resync, refusal: resync.refusal ?? null },
        lastComparison: lastComparison ?? null,
      }
    },
    compare: () => pair.doubt(),
    askRemoval: async (reason, person) => {
      const site = removable(pair, memory)
      assertPerson(person)
      asked = { site, reason, person, at: Date.now() }
      const next = 'another person approves with a token of their own: `firn site approve`'
      return { site, reason, askedBy: person, removed: false, next }
    },
    approveRemoval: async (person) => {
      const site = removable(pair, memory)
      assertPerson(person)
      if (!asked || asked.site !== site || Date.now() - asked.at > APPROVAL_MS) {
        throw new ArchiveError('not_found', 'nobody has asked for a removal within the last hour: `firn site remove`')
      }
      const { reason, person: first } = asked
      if (first === person) throw new ArchiveError('forbidden', `${person} has asked for it; another person approves`)
      const actor = { name: first, role: 'admin', from: '' }
      await events.append({ kind: 'site.removed', actor, subject: { site }, data: { reason, approvedBy: person } })
      await memory.remove(reason, [first, person])
      asked = undefined
      pair.forgetPeer()
      const next = 'start the other site with an empty data folder: it pairs, and is filled, by itself'
      return { site, reason, askedBy: first, removed: true, next }
    },
  }
}

function assertPerson(person: string): void {
  if (person !== '' && person !== 'local') return
  throw new ArchiveError(
    'forbidden',
    'this takes two persons who say who they are: make each a token with `firn token create`, and give it as FIRN_TOKEN',
  )
}

/** A site that is well is not removed: what only it has would be lost. */
function removable(pair: Peering['pair'], memory: Peering['memory']): string {
  if (memory.site === undefined) throw new ArchiveError('not_found', 'this site is paired with none')
  if (pair.health.up) throw new ArchiveError('invalid_request', 'the other site is there and well: stop it first')
  return memory.site
}
