import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { PairMemory } from '../../replication/pair.ts'
import type { Event } from '../events/event.ts'
import { syncFolder } from '../sync-folder.ts'

const FILE = 'peer.json'

const schema = z.object({
  /** Our own storage's generation; changes when it rejoins after it went back. */
  generation: z.string().optional(),
  site: z.string().optional(),
  name: z.string().optional(),
  pairedAt: z.string().optional(),
  /** A rejoin that has begun and is not at its end: the last event that both had, and what was set aside. */
  rejoining: z.object({ common: z.int().min(0), setAside: z.array(z.custom<Event>()) }).optional(),
  /** It is known to have gone back to an earlier state, and must not serve before it has rejoined. */
  fenced: z.boolean().default(false),
  /** How far the other site's log was looked through for holds to confirm. */
  holdsSeen: z.int().min(0).default(0),
  removed: z
    .array(z.object({ site: z.string(), at: z.string(), reason: z.string(), by: z.array(z.string()) }))
    .default([]),
})

type Memory = z.output<typeof schema>

/** Which site this one is paired with, in a file of the data folder that survives power loss and a lost catalogue. */
export class PeerMemory implements PairMemory {
  readonly #folder: string
  #memory: Memory
  #last: Promise<unknown> = Promise.resolve()

  private constructor(folder: string, memory: Memory) {
    this.#folder = folder
    this.#memory = memory
  }

  static async open(folder: string): Promise<PeerMemory> {
    const text = await readFile(join(folder, FILE), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '{}'
      throw error
    })
    return new PeerMemory(folder, schema.parse(JSON.parse(text)))
  }

  get site(): string | undefined {
    return this.#memory.site
  }

  get name(): string | undefined {
    return this.#memory.name
  }

  get generation(): string | undefined {
    return this.#memory.generation
  }

  get removed(): readonly string[] {
    return this.#memory.removed.map(({ site }) => site)
  }

  get holdsSeen(): number {
    return this.#memory.holdsSeen
  }

  get rejoining(): Memory['rejoining'] {
    return this.#memory.rejoining
  }

  get fenced(): boolean {
    return this.#memory.fenced
  }

  setFenced(fenced: boolean): Promise<void> {
    return this.#change((memory) => ({ ...memory, fenced }))
  }

  beginRejoin(rejoining: NonNullable<Memory['rejoining']>): Promise<void> {
    return this.#change((memory) => ({ ...memory, rejoining }))
  }

  /** What was set aside has been said anew. */
  async endRejoin(): Promise<void> {
    if (this.#memory.rejoining) await this.#change(({ rejoining: _, ...rest }) => rest)
  }

  sawHolds(holdsSeen: number): Promise<void> {
    return this.#change((memory) => ({ ...memory, holdsSeen }))
  }

  pairWith(site: string, name: string): Promise<void> {
    return this.#change((memory) => ({ ...memory, site, name, holdsSeen: 0, pairedAt: new Date().toISOString() }))
  }

  /** What this storage said before counts no more: holds are confirmed anew. */
  startGeneration(generation: string): Promise<void> {
    return this.#change((memory) => ({ ...memory, generation, holdsSeen: 0, fenced: false }))
  }

  /** The storage that was paired is never admitted again; another one may be paired from here on. */
  remove(reason: string, by: readonly string[]): Promise<void> {
    return this.#change(({ site, name: _name, pairedAt: _pairedAt, ...rest }) => ({
      ...rest,
      removed:
        site === undefined
          ? rest.removed
          : [...rest.removed, { site, at: new Date().toISOString(), reason, by: [...by] }],
    }))
  }

  /** One change after the other. */
  #change(change: (memory: Memory) => Memory): Promise<void> {
    const done = this.#last.then(() => this.#save(change(this.#memory)))
    this.#last = done.catch(() => undefined)
    return done
  }

  /** Whole or not at all. */
  async #save(memory: Memory): Promise<void> {
    const path = join(this.#folder, FILE)
    const file = await open(`${path}.draft`, 'w', 0o640)
    try {
      await file.writeFile(`${JSON.stringify(memory, null, 2)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(`${path}.draft`, path)
    await syncFolder(this.#folder)
    this.#memory = memory
  }
}
