import { createHash } from 'node:crypto'
import { lacking } from '../../replication/lacking.ts'
import { Pair, type PairMemory } from '../../replication/pair.ts'
import { type Clock, type Hello, PeerError } from '../../replication/ports.ts'
import type { LandingLocation } from '../../service/catalogue/ports.ts'
import { admit, parseHeader } from '../../service/dicom/part10.ts'
import { ArchiveError } from '../../service/errors.ts'
import { Ledger } from '../../service/ingest/ledger.ts'
import type { Receipt } from '../../service/ingest/ports.ts'
import { newInstance, Receiver, type ReceiverOptions } from '../../service/ingest/receive.ts'
import { localCopies } from '../../service/peer/local-copies.ts'
import { mirrorPort } from '../../service/peer/mirror-port.ts'
import type { OpenInstances } from '../../service/retrieve/ports.ts'
import { SimCatalogue } from './catalogue.ts'
import { copyOf, type Disk, type Landed } from './disk.ts'
import { type Line, SimLog } from './log.ts'
import { type Calls, type Kind, linkOver, type Name, type Network, type Peer } from './network.ts'
import { rejoin } from './rejoin.ts'
import type { Safeguards } from './safeguards.ts'
import type { Scheduler } from './scheduler.ts'

export interface SiteOptions {
  name: Name
  disk: Disk
  scheduler: Scheduler
  network: Network
  safeguards: Safeguards
  /** Number of this start; sessions, sites and generations are named by it. */
  start: number
  /** How far its system clock is from the true time. */
  clockAheadMs(): number
  /** It has to be started again. */
  onFenced(): void
  /** It works with this storage of the other site. */
  onAdmitted(site: string): void
}

export const STRICT = 'STRICT'
const MEBIBYTE = 1024 * 1024

/** One site from its start to its crash: real receiving and replication over a simulated disk, clock and network. */
export class Site implements Peer {
  readonly name: Name
  readonly disk: Disk
  readonly pair: Pair
  readonly memory: PairMemory
  alive = true
  /** The other site and senders are answered. */
  ready = false
  /** Instances of senders that are being received. */
  underway = 0
  readonly #options: SiteOptions
  readonly #catalogue: SimCatalogue
  readonly #log: SimLog
  readonly #peerLogs = new Map<string, SimLog>()
  readonly #receiver: Receiver
  readonly #link: ReturnType<typeof linkOver>
  readonly #local: ReturnType<typeof localCopies>

  constructor(options: SiteOptions) {
    const { name, disk, network, safeguards, scheduler } = options
    this.#options = options
    this.name = name
    this.disk = disk
    const step = (): Promise<void> => this.#step()
    this.#catalogue = new SimCatalogue(disk, step, () => scheduler.random.next() < 0.5, safeguards.localAcksNoted)
    this.#log = new SimLog(disk.site, disk.log, step)
    this.#link = linkOver(network, { name, site: disk.site, alive: () => this.alive })
    const { hello } = this.#link
    this.#link.hello = async (mine) => this.#heard(await hello(mine))
    this.#local = localCopies(this.#catalogue, this.#instances())
    this.memory = this.#openMemory()
    this.pair = this.#openPair()
    this.#receiver = this.#openReceiver()
  }

  /** As service/archive.ts starts: rejoin first, then the landing's replay, then the other site. */
  async start(): Promise<void> {
    const { disk } = this
    const { scheduler, start, safeguards } = this.#options
    const again = safeguards.oldSitesFenced
      ? await rejoin({
          disk,
          link: this.#link,
          step: () => this.#step(),
          generation: `generation-${start}`,
          name: this.name,
        })
      : []
    for (const text of again) await this.#log.append(text)
    await this.#log.append(`started ${start}`)
    await this.#replay()
    scheduler.note(`${this.name} ready, storage ${disk.site}, ${disk.landing.length} in the landing`)
    this.ready = true
    this.pair.start()
  }

  crash(): void {
    this.alive = false
    this.ready = false
    const { disk } = this
    const { random } = this.#options.scheduler
    // What was written and not synced may have reached the disk all the same, from the front.
    disk.landing.push(...disk.unsynced.slice(0, random.below(disk.unsynced.length + 1)))
    disk.unsynced.length = 0
    if (random.next() < 0.5) disk.books = copyOf(disk.booksSynced)
    else disk.booksSynced = copyOf(disk.books)
  }

  async receive(file: Buffer, sourceName: string): Promise<Receipt> {
    if (!this.ready) throw new ArchiveError('unavailable', 'not started')
    this.underway += 1
    try {
      const source = { protocol: 'stow' as const, name: sourceName, address: 'client' }
      return await this.#receiver.receive({ body: inOne(file), source })
    } finally {
      this.underway -= 1
    }
  }

  /** A person's decision; durable when it resolves. */
  say(text: string): Promise<void> {
    return this.#log.append(text)
  }

  /** Two persons remove the other site from the pair. Resolves with its storage, or undefined when it is well; see service/site-control.ts. */
  async removePeer(): Promise<string | undefined> {
    const { memory } = this.disk
    const { site } = memory
    if (site === undefined || this.pair.health.up) return undefined
    await this.#log.append(`removed ${site}`)
    await this.#step()
    if (this.#options.safeguards.removedRemembered) memory.removed.push(site)
    memory.site = undefined
    memory.name = undefined
    this.pair.forgetPeer()
    this.#options.scheduler.note(`${this.name} removed the other site`)
    return site
  }

  async answer<K extends Kind>(kind: K, from: string, ask: Calls[K]['ask']): Promise<Calls[K]['answer']> {
    if (!this.ready) throw new PeerError('away', 'starting')
    await this.#step()
    if (kind === 'ourEvents') this.pair.assertIs(from)
    else if (kind !== 'hello') {
      this.pair.assertAdmits(from)
      this.#options.onAdmitted(from)
    }
    const answers: { [Each in Kind]: (ask: Calls[Each]['ask']) => Promise<Calls[Each]['answer']> } = {
      hello: (theirs) => this.pair.greeted(this.#heard(theirs)),
      store: (sent) => this.#store(sent),
      lacking: (copies) => lacking(this.#local, copies),
      owe: (copies) => this.#owe(copies),
      events: ({ after, waitMs }) => this.#events(after, waitMs),
      ourEvents: async ({ after }) => text(this.disk.peerLogs.get(from)?.slice(after, after + 50) ?? []),
      digests: (range) => this.#local.digests(range),
    }
    return answers[kind](ask)
  }

  async #store({ copy, bytes, last }: Calls['store']['ask']): Promise<{ sha256: string }> {
    const { safeguards } = this.#options
    const { sopInstanceUid, source } = copy
    const own = safeguards.digestsCompared ? last.sha256 : createHash('sha256').update(bytes).digest('hex')
    const incoming = { body: inOne(bytes), source: source as Landed['source'], expected: { sopInstanceUid } }
    const fromPeer = { proof: () => ({ ...last, sha256: own }) }
    const { sha256 } = await this.#receiver.receive({ ...incoming, fromPeer }).catch((error) => {
      this.pair.doubt()
      throw error
    })
    return { sha256: safeguards.digestsCompared ? sha256 : last.sha256 }
  }

  async #owe(copies: Calls['owe']['ask']): Promise<object> {
    await this.#local.owe(copies)
    this.pair.doubt()
    return {}
  }

  async #events(after: number, waitMs: number): Promise<{ lines: string }> {
    const waited = new Promise<void>((resolve) => this.#options.scheduler.after(waitMs, resolve))
    await Promise.race([this.#log.moved(after), waited])
    return text(this.#log.after(after))
  }

  /** Switched-off safeguards: what the other site says of itself no longer tells that one of them is old, or another. */
  #heard(theirs: Hello): Hello {
    const { oldSitesFenced, sessionsDoubted } = this.#options.safeguards
    const heard = oldSitesFenced ? theirs : { ...theirs, sees: null, head: { ...theirs.head, seq: 1e9 } }
    return sessionsDoubted ? heard : { ...heard, session: 'always the same' }
  }

  /** The disk, the database or the processor does something; the site may die before it is done. */
  #step(ms = 2): Promise<void> {
    const { scheduler } = this.#options
    return new Promise((resolve) => {
      scheduler.after(scheduler.random.next() * ms, () => {
        scheduler.clockAheadMs = this.#options.clockAheadMs()
        if (this.alive) resolve()
      })
    })
  }

  async #replay(): Promise<void> {
    const found = [...this.disk.landing.entries()].sort(([, a], [, b]) =>
      a.receivedAt < b.receivedAt ? -1 : a.receivedAt > b.receivedAt ? 1 : 0,
    )
    for (const [offset, landed] of found) {
      const known = this.disk.books.copies.get(landed.sopInstanceUid)?.some(({ sha256 }) => sha256 === landed.sha256)
      if (known) continue
      await this.#catalogue.record({ ...instanceOf(landed, { segment: 1, offset }), owed: true })
    }
  }

  #instances(): OpenInstances {
    return {
      open: (record) => ({
        record,
        bytes: () => this.#read(record.sha256),
      }),
    }
  }

  async *#read(sha256: string): AsyncGenerator<Buffer> {
    await this.#step(10)
    const landed = [...this.disk.landing, ...this.disk.unsynced].find((one) => one.sha256 === sha256)
    if (!landed) throw new ArchiveError('storage_failed', 'the landing has it not')
    yield landed.bytes
  }

  #openMemory(): PairMemory {
    const { memory } = this.disk
    return {
      get site() {
        return memory.site
      },
      get name() {
        return memory.name
      },
      get removed() {
        return memory.removed
      },
      pairWith: async (site, name) => {
        await this.#step()
        memory.site = site
        memory.name = name
      },
    }
  }

  #openPair(): Pair {
    const { name, disk, scheduler, start, onFenced } = this.#options
    return new Pair({
      mine: {
        site: disk.site,
        name,
        version: 'simulated',
        generation: disk.memory.generation ?? disk.site,
        session: `session-${start}`,
        chain: this.#log,
      },
      memory: this.memory,
      link: this.#link,
      local: this.#local,
      openPeerChain: async (site) => this.#openPeerLog(site),
      clock: this.#clock(),
      isStrict: (source) => source === STRICT,
      isBusy: () => this.underway > 0,
      resyncBytesPerSecond: 0,
      notify: ({ notice, detail }) => {
        scheduler.note(`${name} ${notice} ${detail}`)
        void this.#log.append(`${notice} ${detail}`)
      },
      onFenced: () => {
        this.ready = false
        onFenced()
      },
      warn: (message, details) => scheduler.note(`${name} warns: ${message} ${JSON.stringify(details)}`),
    })
  }

  async #openPeerLog(site: string): Promise<SimLog> {
    const opened = this.#peerLogs.get(site)
    if (opened) return opened
    await this.#step()
    const lines = this.disk.peerLogs.get(site) ?? []
    this.disk.peerLogs.set(site, lines)
    const log = this.#peerLogs.get(site) ?? new SimLog(site, lines, () => this.#step())
    this.#peerLogs.set(site, log)
    return log
  }

  #clock(): Clock {
    const { scheduler } = this.#options
    return {
      now: () => scheduler.now,
      sleep: (ms, signal) =>
        new Promise((resolve) => {
          const end = (): void => {
            signal.removeEventListener('abort', end)
            if (this.alive) resolve()
          }
          if (signal.aborted) return end()
          signal.addEventListener('abort', end)
          scheduler.after(ms, end)
        }),
    }
  }

  #openReceiver(): Receiver {
    const { safeguards, scheduler } = this.#options
    const catalogue = this.#catalogue
    const port = mirrorPort({ pair: this.pair, link: this.#link, catalogue, arrived: () => undefined })
    const mirror = safeguards.localAcksNoted
      ? port
      : { ...port, begin: this.pair.mirror.begin.bind(this.pair.mirror), owing: () => undefined }
    const warn = (message: string): void => scheduler.note(`${this.name} warns: ${message}`)
    const ledger = new Ledger({ catalogue, settled: () => undefined, warn })
    const landing = {
      append: (member: Member, chunks: Buffer[]) => this.#land(member, chunks),
      settled: () => undefined,
    }
    return new Receiver({
      landing: landing as unknown as ReceiverOptions['landing'],
      catalogue,
      ledger,
      isIntact: async () => true,
      limits: {
        instanceBytesMax: 64 * MEBIBYTE,
        bufferedInstanceBytesMax: MEBIBYTE,
        ingestBufferBytes: 1024 * MEBIBYTE,
        headerBytesMax: MEBIBYTE,
      },
      mirror,
      warn,
    })
  }

  /** Written, then synced together with what others have written meanwhile. */
  async #land({ name, note }: Member, chunks: readonly Buffer[]): Promise<LandingLocation> {
    const { disk } = this
    const { sha256, received, source } = note
    const sopInstanceUid = name.slice(name.lastIndexOf('/') + 1, -'.dcm'.length)
    await this.#step()
    if (disk.full) throw new ArchiveError('out_of_space', 'the disk is full')
    disk.unsynced.push({ sopInstanceUid, sha256, receivedAt: received, source, bytes: Buffer.concat(chunks) })
    const synced = this.#step(20).then(() => disk.landing.push(...disk.unsynced.splice(0)))
    if (this.#options.safeguards.syncedBeforeAck) await synced
    return { segment: 1, offset: disk.landing.length }
  }
}

interface Member {
  name: string
  note: { sha256: string; received: string; source: Landed['source'] }
}

const text = (lines: readonly Line[]): { lines: string } => ({
  lines: lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
})

async function* inOne(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

function instanceOf({ sha256, receivedAt, source, bytes }: Landed, location: LandingLocation) {
  const header = parseHeader(bytes, true)
  return newInstance(header, { ...admit(header, true), sha256, sizeBytes: bytes.length, receivedAt, source, location })
}
