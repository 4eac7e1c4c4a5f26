import type { EventChain, Head, Hello } from './ports.ts'

export const PROTOCOL = 1

/** Whom we are paired with, and how far we have its log. */
export interface Known {
  site: string
  /** Undefined while nothing of it was opened. */
  chain: EventChain | undefined
  /** Storage that was removed from the pair, never to be readmitted. */
  removed: readonly string[]
}

export type Verdict =
  /** All is well. */
  | { verdict: 'well' }
  /** Neither is paired: this is how two sites meet for the first time. */
  | { verdict: 'new' }
  /** We went back behind what the other site remembers of us: nothing may be served before we have rejoined. */
  | { verdict: 'we-are-old'; theirs: Head }
  /** The other site went back behind what we remember of it; it has to rejoin. */
  | { verdict: 'they-are-old'; why: string }
  /** It can't be worked with until somebody has mended it. */
  | { verdict: 'refused'; why: string }

/**
 * What to make of the other site's word. A site is who its storage is: a name or an address proves nothing. No clock is
 * asked; only logs are compared, which nobody can bring forward.
 */
export async function judge(
  mine: { site: string; chain: EventChain },
  known: Omit<Known, 'site'> & { site: string | undefined },
  theirs: Hello,
): Promise<Verdict> {
  if (theirs.protocol !== PROTOCOL) {
    const which = `it speaks version ${theirs.protocol} of the peer protocol (Firn ${theirs.version}), this site ${PROTOCOL}`
    return refused(`${which}: bring both sites to the same version of Firn`)
  }
  if (theirs.site === mine.site) {
    return refused('it is a copy of this very site: one of the two has the wrong data folder')
  }
  if (known.removed.includes(theirs.site)) {
    return refused(`its storage ${theirs.site} was removed from the pair: it must start with an empty data folder`)
  }
  if (known.site !== undefined && known.site !== theirs.site) {
    return refused(
      `it has another storage (${theirs.site}) than the one paired with this site (${known.site}): a wrong or emptied ` +
        'disk. Give it its own back, or remove the lost one with `firn site remove`',
    )
  }
  if (theirs.sees !== null && theirs.sees.site !== mine.site) {
    return refused(
      `it is paired with other storage (${theirs.sees.site}) than that of this site (${mine.site}): remove that there`,
    )
  }
  if (theirs.sees && !(await mine.chain.has(theirs.sees.head)))
    return { verdict: 'we-are-old', theirs: theirs.sees.head }
  const { chain } = known
  if (chain && isBehind(theirs.head, chain.head)) {
    return {
      verdict: 'they-are-old',
      why: `its log ends at ${theirs.head.seq}, and this site has it up to ${chain.head.seq}`,
    }
  }
  if (chain && theirs.head.seq === chain.head.seq && theirs.head.hash !== chain.head.hash) {
    return { verdict: 'they-are-old', why: `its event ${theirs.head.seq} is not the one that this site has` }
  }
  return known.site === undefined ? { verdict: 'new' } : { verdict: 'well' }
}

const refused = (why: string): Verdict => ({ verdict: 'refused', why })
const isBehind = (one: Head, other: Head): boolean => one.seq < other.seq
