import { setTimeout as sleep } from 'node:timers/promises'
import type { ProjectEvents } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import type { Event } from './event.ts'
import type { ProjectionOptions } from './projection.ts'

/** A log whose events are to be in the catalogue: the site's own, or another site's. */
export interface ProjectedLog {
  readonly site: string
  readonly head: { seq: number }
  project(options: ProjectionOptions): Promise<void>
}

export interface ProjectorOptions {
  catalogue: ProjectEvents
  warn(message: string, details: object): void
  /** After a failure; default 5 seconds. */
  pauseMs?: number
}

interface Waiting {
  seq: number
  resolve(): void
  reject(error: Error): void
}

interface Site {
  /** In the catalogue, or known to mean nothing to it. */
  done: number
  /** The number that the catalogue has kept. */
  kept: number
  waiting: Waiting[]
}

/** Events that mean nothing to the catalogue move its number on only now and then: most are of instances that came. */
const UNKEPT_MAX = 5000
const PAUSE_MS = 5000

/**
 * Brings what events say into the catalogue, for each site's log in its order, and again after a failure until it
 * succeeds. The number of the last event is kept with what was made of it, so each counts once.
 */
export class Projector {
  readonly #options: ProjectorOptions
  readonly #sites = new Map<string, Site>()
  readonly #closing = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #troubles = new Map<string, string>()

  constructor(options: ProjectorOptions) {
    this.#options = options
  }

  /** What keeps the catalogue behind the logs; empty when nothing does. */
  get troubles(): string[] {
    return [...this.#troubles].map(([site, trouble]) => `the catalogue lacks events of site ${site}: ${trouble}`)
  }

  /** Everything that a log holds now. Throws what reading it or writing the catalogue throws. */
  async catchUp(log: ProjectedLog): Promise<void> {
    const site = await this.#run(log, false)
    await this.#keep(log.site, site)
  }

  /** The same of events that are read from elsewhere, such as another site's files. They follow what was projected before. */
  async take(siteId: string, batches: (after: number) => AsyncIterable<readonly Event[]>): Promise<void> {
    const site = await this.#known(siteId)
    for await (const events of batches(site.done)) await this.#apply(siteId, site, events)
    await this.#keep(siteId, site)
  }

  /** Follows a log until `close`. */
  follow(log: ProjectedLog): void {
    const running = this.#follow(log).finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  /**
   * Resolves when the catalogue has the event `seq` of a site's log, and all before it. Throws ArchiveError
   * `catalogue_failed` when it can't be written now (the event stays in the log, and gets there later), `unavailable` when
   * nobody follows that log.
   */
  async upTo(siteId: string, seq: number): Promise<void> {
    const site = this.#sites.get(siteId)
    if (!site || this.#closing.signal.aborted) {
      throw new ArchiveError('unavailable', `nobody follows the event log of site ${siteId}`)
    }
    if (site.done >= seq) return
    const trouble = this.#troubles.get(siteId)
    if (trouble !== undefined) throw behind(trouble)
    await new Promise<void>((resolve, reject) => site.waiting.push({ seq, resolve, reject }))
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.all(this.#running)
    for (const site of this.#sites.values()) fail(site, new ArchiveError('unavailable', 'the node is stopping'))
  }

  async #follow(log: ProjectedLog): Promise<void> {
    const { warn, pauseMs = PAUSE_MS } = this.#options
    const { signal } = this.#closing
    while (!signal.aborted) {
      try {
        const site = await this.#run(log, true)
        await this.#keep(log.site, site)
        // The log was closed.
        return
      } catch (error) {
        const { message } = error as Error
        this.#troubles.set(log.site, message)
        fail(this.#sites.get(log.site), behind(message))
        warn('events are not in the catalogue; it is tried again', { site: log.site, reason: message })
        await sleep(pauseMs, undefined, { signal }).catch(() => undefined)
      }
    }
  }

  async #run(log: ProjectedLog, follow: boolean): Promise<Site> {
    const site = await this.#known(log.site)
    // Nothing that comes under numbers which were given out before may be taken for what was projected.
    if (site.done > log.head.seq) {
      throw new Error(`the catalogue knows event ${site.done}, the log ends at ${log.head.seq}: was it cut?`)
    }
    const handle = (events: readonly Event[]): Promise<void> => this.#apply(log.site, site, events)
    await log.project({ after: site.done, handle, follow, signal: this.#closing.signal })
    return site
  }

  async #known(siteId: string): Promise<Site> {
    const known = this.#sites.get(siteId)
    if (known) return known
    const kept = await this.#options.catalogue.projectedUpTo(siteId)
    const site = this.#sites.get(siteId) ?? { done: kept, kept, waiting: [] }
    this.#sites.set(siteId, site)
    return site
  }

  async #apply(siteId: string, site: Site, events: readonly Event[]): Promise<void> {
    const { catalogue } = this.#options
    const upTo = events.at(-1)?.seq ?? site.done
    const some = events.filter(({ kind }) => catalogue.isProjected(kind))
    if (some.length > 0 || upTo - site.kept > UNKEPT_MAX) {
      await catalogue.project(siteId, some, upTo)
      site.kept = upTo
    }
    site.done = upTo
    this.#troubles.delete(siteId)
    const ready = site.waiting.filter(({ seq }) => seq <= upTo)
    site.waiting = site.waiting.filter(({ seq }) => seq > upTo)
    for (const { resolve } of ready) resolve()
  }

  async #keep(siteId: string, site: Site): Promise<void> {
    if (site.kept === site.done) return
    await this.#options.catalogue.project(siteId, [], site.done)
    site.kept = site.done
  }
}

const behind = (reason: string): ArchiveError =>
  new ArchiveError('catalogue_failed', `it is in the event log, but not in the catalogue yet: ${reason}`)

function fail(site: Site | undefined, error: Error): void {
  if (!site) return
  const { waiting } = site
  site.waiting = []
  for (const { reject } of waiting) reject(error)
}
