import { judge, PROTOCOL } from '../../replication/judge.ts'
import type { Head, Hello, PeerLink } from '../../replication/ports.ts'
import type { Disk } from './disk.ts'
import { decode, encode, type Line, SimLog, type Step } from './log.ts'

export interface RejoinOptions {
  disk: Disk
  name: string
  link: PeerLink
  step: Step
  /** Of the storage from here on, if it has to rejoin. */
  generation: string
}

/**
 * service/peer/rejoin.ts over a log in memory: brings back what the other site remembers of our log, and answers what was
 * said since and is to be said anew. Empty where all is well or the other site is away.
 */
export async function rejoin({ disk, name, link, step, generation }: RejoinOptions): Promise<string[]> {
  const { memory, site } = disk
  const log = new SimLog(site, disk.log, step)
  let theirs: Hello
  try {
    const mine = {
      protocol: PROTOCOL,
      version: 'simulated',
      name,
      site,
      session: 'rejoin',
      head: log.head,
      parted: true,
      sees: null,
    }
    theirs = await link.hello({ ...mine, generation: memory.generation ?? site })
  } catch {
    return []
  }
  const known = { site: memory.site, chain: undefined, removed: memory.removed }
  const verdict = await judge({ site, chain: log }, known, theirs)
  if (verdict.verdict !== 'we-are-old') return []
  try {
    const common = await commonPoint(log, verdict.theirs, link)
    const setAside = disk.log.slice(common)
    await step('cut')
    disk.log.length = common
    await fetchLost(log, verdict.theirs, link)
    await step('generation')
    memory.generation = generation
    return ['rejoined', ...setAside.map(({ text }) => text).filter((text) => text.startsWith('hold'))]
  } catch {
    // The process ends, and is started again.
    return rejoin({ disk, name, link, step, generation })
  }
}

async function commonPoint(log: SimLog, theirs: Head, link: PeerLink): Promise<number> {
  let low = 0
  let high = Math.min(log.head.seq, theirs.seq)
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    const [event] = decode(await link.ourEvents(middle - 1)) as [Line]
    if (event.seq === middle && (await log.has({ seq: middle, hash: event.hash }))) low = middle
    else high = middle - 1
  }
  return low
}

async function fetchLost(log: SimLog, theirs: Head, link: PeerLink): Promise<void> {
  while (log.head.seq < theirs.seq) {
    const lines = decode(await link.ourEvents(log.head.seq))
    const { outcome } = await log.import(encode(lines))
    if (outcome !== 'appended') throw new Error(`our own events from the other site don't fit: ${outcome}`)
  }
}
