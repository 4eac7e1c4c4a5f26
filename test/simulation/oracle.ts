import { createHash } from 'node:crypto'
import type { Receipt } from '../../service/ingest/ports.ts'
import type { Disk } from './disk.ts'
import { DIGESTS } from './files.ts'
import { type Name, other } from './network.ts'
import type { Site } from './site.ts'

/** What the world looks like to somebody who sees everything. */
export interface Everything {
  now(): number
  disks: Record<Name, Disk>
  running(name: Name): Site | undefined
}

const NAMES = ['A', 'B'] as const

/**
 * A site may say "in sync" for so long after it stopped being true: a silent loss at the other site is noticed by greetings
 * that fail (3 s each), or by a new process that greets. A copy that only one site has for longer than that, while it is said
 * throughout, makes it a lie.
 */
const GRACE_MS = 20_000

export class Broken extends Error {
  override readonly name = 'Broken'
}

/** Knows what was promised to senders, and looks at both sites' storage with its own eyes. */
export class Oracle {
  readonly #everything: Everything
  /** By digest: which sites must have it until they lose their storage. */
  readonly #promised = new Map<string, Set<Name>>()
  /** Decisions that were confirmed, and the sites at which they were said. */
  readonly #said = new Map<string, Name>()
  /** Since when a difference exists while a site says in sync: by site and difference. */
  readonly #lies: Record<Name, Map<string, number>> = { A: new Map(), B: new Map() }
  readonly #lostAt: Record<Name, number> = { A: Number.NEGATIVE_INFINITY, B: Number.NEGATIVE_INFINITY }
  acknowledged = { both: 0, local: 0 }

  constructor(everything: Everything) {
    this.#everything = everything
  }

  acknowledge(name: Name, { sha256, durability }: Receipt, strict: boolean): void {
    this.acknowledged[durability] += 1
    const holders = NAMES.filter((each) => this.#holds(each, sha256))
    const there = other(name)
    const hasJustLost = this.#everything.now() - this.#lostAt[there] < GRACE_MS
    if (durability === 'both' && !holders.includes(there) && !hasJustLost)
      throw new Broken(`${name} acknowledged ${sha256.slice(0, 8)} as both, and ${there} has it not`)
    if (durability === 'both' && !holders.includes(name))
      throw new Broken(`${name} acknowledged ${sha256.slice(0, 8)} as both, and has it not`)
    if (holders.length === 0) throw new Broken(`${name} acknowledged ${sha256.slice(0, 8)}, and nobody has it`)
    if (durability === 'local' && strict) throw new Broken(`${name} acknowledged a strict source with one site alone`)
    this.#promised.set(sha256, new Set([...(this.#promised.get(sha256) ?? []), ...holders]))
  }

  said(name: Name, text: string): void {
    this.#said.set(text, name)
  }

  /** A site's storage is replaced. What only it had is lost, and was never promised to survive that. */
  storageLost(name: Name, replacement: Disk): void {
    const kept = new Set(replacement.landing.map(({ sha256 }) => sha256))
    for (const [sha256, holders] of this.#promised) {
      if (!kept.has(sha256)) holders.delete(name)
      if (this.#holds(other(name), sha256)) holders.add(other(name))
    }
    // Known limit: the events of storage that was removed are kept by the site that outlived it, and don't go to the new one.
    const known = new Set([replacement, this.#everything.disks[other(name)]].flatMap(textsOf))
    for (const text of this.#said.keys()) if (!known.has(text)) this.#said.delete(text)
    this.#lostAt[name] = this.#everything.now()
    this.#lies.A.clear()
    this.#lies.B.clear()
  }

  /** Both sites are up, hold the same, and say so. */
  get isWhole(): boolean {
    const [a, b] = [this.#everything.running('A'), this.#everything.running('B')]
    return a !== undefined && b !== undefined && a.pair.inSync && b.pair.inSync && this.#differences().length === 0
  }

  /** To be called about once a second. */
  look(): void {
    for (const [sha256, holders] of this.#promised) {
      for (const name of holders) {
        if (!this.#holds(name, sha256)) throw new Broken(`${name} has lost ${sha256.slice(0, 8)}`)
      }
    }
    const now = this.#everything.now()
    const differences = this.#differences()
    for (const name of NAMES) {
      const before = this.#lies[name]
      const claims = this.#everything.running(name)?.pair.inSync ?? false
      this.#lies[name] = new Map(claims ? differences.map((each) => [each, before.get(each) ?? now]) : [])
      for (const [difference, since] of this.#lies[name]) {
        if (now - since > GRACE_MS)
          throw new Broken(`${name} says in sync since ${since.toFixed(0)}, but: ${difference}`)
      }
    }
  }

  /** After everything was mended and has come to rest. */
  lookAtTheEnd(): void {
    this.look()
    const { disks } = this.#everything
    const differences = this.#differences()
    if (differences.length > 0) throw new Broken(`in the end: ${differences.join('; ')}`)
    for (const [sha256, holders] of this.#promised) {
      if (holders.size === 0) continue
      for (const name of NAMES) {
        if (!this.#holds(name, sha256)) throw new Broken(`in the end ${name} lacks ${sha256.slice(0, 8)}`)
      }
    }
    for (const name of NAMES) {
      this.#assertBytes(name)
      const disk = disks[name]
      const theirs = disks[other(name)].peerLogs.get(disk.site) ?? []
      if (theirs.at(-1)?.hash !== disk.log.at(-1)?.hash)
        throw new Broken(
          `in the end ${other(name)} lacks events of ${name}: it has ${theirs.length} of ${disk.log.length}`,
        )
      if (disk.books.owed.length > 0) throw new Broken(`in the end ${name} owes ${disk.books.owed.length}`)
    }
    const texts = new Set(NAMES.flatMap((name) => textsOf(disks[name])))
    for (const [text, name] of this.#said) {
      if (!texts.has(text)) throw new Broken(`what was said at ${name} is in no log: ${text}`)
    }
  }

  #assertBytes(name: Name): void {
    for (const { sha256, bytes } of this.#everything.disks[name].landing) {
      if (createHash('sha256').update(bytes).digest('hex') !== sha256)
        throw new Broken(`${name}: the bytes of ${sha256.slice(0, 8)} have changed`)
      if (!DIGESTS.has(sha256)) throw new Broken(`${name} has ${sha256.slice(0, 8)}, which nobody has sent`)
    }
  }

  #holds(name: Name, sha256: string): boolean {
    return this.#everything.disks[name].landing.some((landed) => landed.sha256 === sha256)
  }

  /** What one site has and the other hasn't, or which of several copies each serves. */
  #differences(): string[] {
    const { A, B } = this.#everything.disks
    const differences: string[] = []
    const here = new Set(A.landing.map(({ sha256 }) => sha256))
    const there = new Set(B.landing.map(({ sha256 }) => sha256))
    for (const sha256 of here) if (!there.has(sha256)) differences.push(`only A has ${sha256.slice(0, 8)}`)
    for (const sha256 of there) if (!here.has(sha256)) differences.push(`only B has ${sha256.slice(0, 8)}`)
    for (const [uid, [served]] of A.books.copies) {
      const elsewhere = B.books.copies.get(uid)?.[0]
      if (elsewhere && served && elsewhere.sha256 !== served.sha256)
        differences.push(`A serves ${served.sha256.slice(0, 8)}, B ${elsewhere.sha256.slice(0, 8)}`)
    }
    return differences
  }
}

const textsOf = ({ log, peerLogs }: Disk): string[] => [log, ...peerLogs.values()].flat().map(({ text }) => text)
