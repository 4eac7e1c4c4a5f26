import type {
  CatalogueReplication,
  CopyId,
  InstanceRecord,
  NewInstance,
  RecordOutcome,
} from '../../service/catalogue/ports.ts'
import { type Books, copyOf, type Disk } from './disk.ts'
import type { Step } from './log.ts'

/** The catalogue's rules for copies (service/catalogue/knex/commit.ts, replication.ts) over plain data. */
export class SimCatalogue implements CatalogueReplication {
  readonly #disk: Disk
  readonly #step: Step
  readonly #synced: () => boolean
  readonly #notesDebts: boolean

  /** `synced` says whether a commit happens to reach the disk by itself. */
  constructor(disk: Disk, step: Step, synced: () => boolean, notesDebts: boolean) {
    this.#disk = disk
    this.#step = step
    this.#synced = synced
    this.#notesDebts = notesDebts
  }

  get #books(): Books {
    return this.#disk.books
  }

  async digests(uid: string): Promise<string[]> {
    await this.#step('digests')
    return (this.#books.copies.get(uid) ?? []).map(({ sha256 }) => sha256)
  }

  async byDigest(sha256: string): Promise<InstanceRecord | undefined> {
    await this.#step('by digest')
    return [...this.#books.copies.values()].flat().find((copy) => copy.sha256 === sha256)
  }

  async probe(): Promise<void> {
    await this.#step('probe')
  }

  async relocate(): Promise<void> {
    await this.#step('relocate')
  }

  async record(instance: NewInstance): Promise<RecordOutcome> {
    await this.#step('record')
    const { sopInstanceUid: uid, sha256 } = instance
    if (instance.owed && this.#notesDebts) this.#addDebts([instance])
    const copies = this.#books.copies.get(uid) ?? []
    const served = copies[0]?.sha256
    const others = copies.filter((copy) => copy.sha256 !== sha256)
    const known = others.length < copies.length
    if (served === undefined || (instance.servedThere && sha256 < served))
      this.#books.copies.set(uid, [instance, ...others])
    else if (!known) this.#books.copies.set(uid, [...copies, instance])
    this.#commit()
    if (served === undefined) return 'stored'
    return known ? 'duplicate' : 'conflict'
  }

  async owed(after: number, limit: number): Promise<{ id: number; copy: CopyId }[]> {
    await this.#step('owed')
    return this.#books.owed
      .filter(({ id }) => id > after)
      .slice(0, limit)
      .map(({ id, sopInstanceUid, sha256 }) => ({ id, copy: { sopInstanceUid, sha256 } }))
  }

  async owedCount(): Promise<number> {
    await this.#step('owed count')
    return this.#books.owed.length
  }

  async isOwed(sha256: string): Promise<boolean> {
    await this.#step('is owed')
    return this.#books.owed.some((debt) => debt.sha256 === sha256)
  }

  async owe(copies: readonly CopyId[]): Promise<void> {
    await this.#step('owe')
    this.#addDebts(copies)
    this.#commit()
  }

  async paid(copies: readonly CopyId[]): Promise<void> {
    await this.#step('paid')
    const digests = new Set(copies.map(({ sha256 }) => sha256))
    this.#books.owed = this.#books.owed.filter(({ sha256 }) => !digests.has(sha256))
    this.#commit()
  }

  async copy({ sopInstanceUid, sha256 }: CopyId): Promise<(InstanceRecord & { served: boolean }) | undefined> {
    await this.#step('copy')
    const copies = this.#books.copies.get(sopInstanceUid) ?? []
    const at = copies.findIndex((copy) => copy.sha256 === sha256)
    return at < 0 ? undefined : { ...(copies[at] as NewInstance), served: at === 0 }
  }

  async *copiesFrom(prefix: string): AsyncGenerator<CopyId & { served: boolean }> {
    await this.#step('copies')
    for (const [sopInstanceUid, copies] of this.#books.copies) {
      for (const [at, { sha256 }] of copies.entries()) {
        if (sha256.startsWith(prefix)) yield { sopInstanceUid, sha256, served: at === 0 }
      }
    }
  }

  #addDebts(copies: readonly CopyId[]): void {
    for (const { sopInstanceUid, sha256 } of copies) {
      if (this.#books.owed.some((debt) => debt.sha256 === sha256 && debt.sopInstanceUid === sopInstanceUid)) continue
      this.#books.owed.push({ id: this.#books.nextId++, sopInstanceUid, sha256 })
    }
  }

  #commit(): void {
    if (this.#synced()) this.#disk.booksSynced = copyOf(this.#books)
  }
}
