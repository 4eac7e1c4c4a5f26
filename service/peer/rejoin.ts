import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { judge, PROTOCOL } from '../../replication/judge.ts'
import type { Head, PeerLink } from '../../replication/ports.ts'
import type { Event } from '../events/event.ts'
import { PeerLog } from '../events/peer-log.ts'
import { cutBehind } from '../events/set-aside.ts'
import { VERSION } from '../version.ts'
import type { PeerMemory } from './memory.ts'

const FENCED_RETRY_MS = 2000

export interface RejoinOptions {
  /** Of our own event log, which nobody has open. */
  eventsFolder: string
  site: string
  name: string
  memory: PeerMemory
  link: PeerLink
  info(message: string, details: object): void
}

export interface Rejoined {
  /** Events that this site had written after it went back, which the other site's memory of it doesn't have. */
  setAside: Event[]
  /** The last event that both had: behind it the log is another one than it was. */
  common: number
}

/**
 * Before anything is served or written: asks the other site how far it has our log. Where it has more than we have, this
 * storage went back to an earlier state (an old backup, a snapshot): the lost events are fetched, what was written since
 * is set aside, and a new generation begins. Undefined where all is well, or the other site can't be asked now.
 */
export async function rejoinIfOld(options: RejoinOptions): Promise<Rejoined | undefined> {
  const { eventsFolder: folder, site, memory, link } = options
  const log = await PeerLog.open({ folder, site })
  try {
    // A new one was never further. Any other may be as it was before they were paired.
    if (memory.site === undefined && log.head.seq === 0) return undefined
    let theirs = await remembered(options, log)
    while (theirs === 'away' && memory.fenced) {
      options.info('this storage is known to be old, and waits for the other site to rejoin it', {})
      await sleep(FENCED_RETRY_MS)
      theirs = await remembered(options, log)
    }
    if (theirs === 'away') theirs = undefined
    else if (theirs === undefined && memory.fenced) await memory.setFenced(false)
    // One that was broken off has set aside already what must be said anew.
    const begun = memory.rejoining
    if (!theirs) return begun
    options.info('this storage went back to an earlier state; rejoining', { here: log.head.seq, there: theirs.seq })
    const common = await commonPoint(log, theirs, link)
    const setAside: Event[] = [...(begun?.setAside ?? [])]
    const known = new Set(setAside.map(({ hash }) => hash))
    for await (const event of log.read({ after: common })) if (!known.has(event.hash)) setAside.push(event)
    await log.close()
    const rejoining = { setAside, common: Math.min(common, begun?.common ?? common) }
    await memory.beginRejoin(rejoining)
    await cutBehind(folder, common)
    await fetchLost(options, theirs)
    await memory.startGeneration(randomUUID())
    return rejoining
  } finally {
    await log.close()
  }
}

/** How far the other site has our log, if that is further than, or beside, what we have. */
async function remembered(
  { site, name, memory, link }: RejoinOptions,
  log: PeerLog,
): Promise<Head | 'away' | undefined> {
  // Asked even by a site that is paired with nobody: its copy may be older than the pair, and the other site knows it.
  try {
    const mine = {
      protocol: PROTOCOL,
      version: VERSION,
      name,
      site,
      generation: memory.generation ?? site,
      session: 'rejoin',
      head: log.head,
      parted: true,
      sees: null,
    }
    const theirs = await link.hello(mine)
    const verdict = await judge(
      { site, chain: log },
      { site: memory.site, chain: undefined, removed: memory.removed },
      theirs,
    )
    if (verdict.verdict === 'we-are-old') return verdict.theirs
    // A site that doesn't work with this one has not said that all is well.
    return verdict.verdict === 'refused' ? 'away' : undefined
  } catch {
    // When it is back its greeting tells, and the node starts again.
    return 'away'
  }
}

/** The last event that both have as it is. By halves: whoever has an event has all before it too. */
async function commonPoint(log: PeerLog, theirs: Head, link: PeerLink): Promise<number> {
  let low = 0
  let high = Math.min(log.head.seq, theirs.seq)
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    const [line] = (await link.ourEvents(middle - 1)).toString().split('\n', 1)
    const event = JSON.parse(line as string) as Event
    if (event.seq === middle && (await log.has({ seq: middle, hash: event.hash }))) low = middle
    else high = middle - 1
  }
  return low
}

async function fetchLost({ eventsFolder: folder, site, link, info }: RejoinOptions, theirs: Head): Promise<void> {
  const log = await PeerLog.open({ folder, site })
  try {
    while (log.head.seq < theirs.seq) {
      const { outcome } = await log.import(await link.ourEvents(log.head.seq))
      if (outcome !== 'appended') throw new Error(`our own events from the other site don't fit: ${outcome}`)
    }
    if (!(await log.has(theirs))) throw new Error('our own log from the other site ends elsewhere than it said')
    info('lost events are back', { head: log.head.seq })
  } finally {
    await log.close()
  }
}
