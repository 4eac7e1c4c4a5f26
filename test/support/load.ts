import { sopClasses, transferSyntaxes } from '../fixtures/dicom.ts'
import { Association } from './dimse.ts'
import type { Firn } from './firn.ts'
import { type Instance, instanceOfSize, uidsOf } from './instances.ts'
import { sha256 } from './part10.ts'
import type { Random } from './random.ts'
import { stow } from './web.ts'

/** One file that was sent under a SOP Instance UID. */
export interface Version {
  via: 'stow' | 'c-store'
  /** Of the whole file; what C-STORE sends has no file header, so only `dataSetSha256` counts there. */
  sha256: string
  dataSetSha256: string
  acknowledged: boolean
}

export interface Sent {
  studyUid: string
  seriesUid: string
  versions: Version[]
}

/** What a client remembers of its own sending; the archive is judged by it. Digests only, so that it stays small. */
export class Ledger {
  readonly bySop = new Map<string, Sent>()
  readonly byStudy = new Map<string, Set<string>>()
  acknowledged = 0

  add(instance: Instance, via: Version['via']): Version {
    const version = { via, sha256: sha256(instance.file), dataSetSha256: sha256(instance.dataSet), acknowledged: false }
    const sent = this.bySop.get(instance.sopInstanceUid) ?? { ...uidsOf(instance), versions: [] }
    this.bySop.set(instance.sopInstanceUid, sent)
    const study = this.byStudy.get(instance.studyUid) ?? new Set()
    this.byStudy.set(instance.studyUid, study.add(instance.sopInstanceUid))
    const same = sent.versions.find((each) => each.via === via && each.sha256 === version.sha256)
    if (same !== undefined) return same
    sent.versions.push(version)
    return version
  }

  acknowledge(version: Version): void {
    if (!version.acknowledged) this.acknowledged++
    version.acknowledged = true
  }
}

export interface LoadOptions {
  stowWorkers: number
  storeWorkers: number
  /** Sizes of pixel data to choose from. */
  sizesBytes: readonly number[]
  /** How many studies the workers share. */
  studies?: number
}

/**
 * Senders over STOW-RS and C-STORE that go on until they are stopped or the server goes away. One instance in twenty is
 * sent again as it was, one in twenty again with other content.
 */
export class Load {
  readonly ledger: Ledger
  /** Answers that were neither success nor a lost connection. */
  readonly refusals: string[] = []
  readonly studyUids: string[]
  readonly #firn: Firn
  readonly #random: Random
  readonly #options: LoadOptions
  #running = false
  #workers: Promise<void>[] = []

  constructor(firn: Firn, random: Random, ledger: Ledger, options: LoadOptions) {
    this.#firn = firn
    this.#random = random
    this.ledger = ledger
    this.#options = options
    this.studyUids = Array.from({ length: options.studies ?? 8 }, () => random.uid())
  }

  start(): void {
    this.#running = true
    for (let n = 0; n < this.#options.stowWorkers; n++) this.#workers.push(this.#work(() => this.#stow()))
    for (let n = 0; n < this.#options.storeWorkers; n++) this.#workers.push(this.#work(() => this.#store()))
  }

  /** Lets each worker finish the request it is at. */
  async stop(): Promise<void> {
    this.#running = false
    await Promise.all(this.#workers)
  }

  async #work(session: () => Promise<void>): Promise<void> {
    while (this.#running) {
      try {
        await session()
      } catch {
        // The connection broke: whatever was under way has an unknown outcome. A server that is gone ends the work.
        if (!this.#firn.alive) return
      }
    }
  }

  #instance(recent: Instance[]): Instance {
    const random = this.#random
    const dice = recent.length === 0 ? 1 : random.next()
    if (dice < 0.05) return random.pick(recent)
    const uids = dice < 0.1 ? uidsOf(random.pick(recent)) : { studyUid: random.pick(this.studyUids) }
    const instance = instanceOfSize(random, random.pick(this.#options.sizesBytes), uids)
    recent.push(instance)
    if (recent.length > 10) recent.shift()
    return instance
  }

  async #stow(): Promise<void> {
    const recent: Instance[] = []
    while (this.#running) {
      const batch = Array.from({ length: this.#random.between(1, 6) }, () => this.#instance(recent))
      const versions = batch.map((one) => this.ledger.add(one, 'stow'))
      const answer = await stow(
        this.#firn.dicomWeb,
        batch.map((one) => one.file),
      )
      const stored = new Set(answer.stored.map((one) => one.sopInstanceUid))
      const failed = new Set(answer.failed.map((one) => one.sopInstanceUid))
      batch.forEach((one, n) => {
        const version = versions[n]
        const uid = one.sopInstanceUid
        if (version !== undefined && stored.has(uid) && !failed.has(uid)) this.ledger.acknowledge(version)
      })
      // 202 without a failure is a warning: an instance came again with other content.
      const taken = answer.status === 200 || (answer.status === 202 && failed.size === 0 && answer.failed.length === 0)
      if (!taken) this.refusals.push(`STOW ${answer.status} ${answer.failed[0]?.reason ?? ''}`)
    }
  }

  async #store(): Promise<void> {
    const [sopClass, syntax] = [sopClasses.ct, transferSyntaxes.explicitLittle]
    const proposals = [{ sopClassUid: sopClass, transferSyntaxUids: [syntax] }]
    const association = await Association.open(this.#firn.dimsePort, proposals)
    try {
      while (this.#running) {
        const instance = this.#instance([])
        const version = this.ledger.add(instance, 'c-store')
        const status = await association.store(sopClass, instance.sopInstanceUid, syntax, instance.dataSet)
        if (status === 0) this.ledger.acknowledge(version)
        else this.refusals.push(`C-STORE ${status.toString(16)}`)
      }
      await association.release()
    } finally {
      association.destroy()
    }
  }
}
