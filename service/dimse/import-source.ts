import { textOf } from '../dicom/describe.ts'
import type { DicomJson, InstanceIdentifiers, Tag } from '../dicom/types.ts'
import { isUid } from '../dicom/uids.ts'
import type { Arrivals } from '../import/arrivals.ts'
import { digestOf } from '../import/digest-of.ts'
import { foundStudy } from '../import/found.ts'
import { listByDates } from '../import/list-by-dates.ts'
import type { FoundStudy, ImportSource, ListedPage, Slow, SourceInstance } from '../import/ports.ts'
import type { Receipt } from '../ingest/ports.ts'
import { getInstances } from './get-scu.ts'
import { associate, find, queryContext, retrieve, type ScuOptions, STUDY_ROOT_MOVE } from './query-scu.ts'

/** What is asked for of a study (PS3.4 C.6.2.1.2), with its VR. */
const STUDY_KEYS: Readonly<Record<Tag, string>> = {
  '00080020': 'DA',
  '00080030': 'TM',
  '00080050': 'SH',
  '00080061': 'CS',
  '00080090': 'PN',
  '00081030': 'LO',
  '00100010': 'PN',
  '00100020': 'LO',
  '00100030': 'DA',
  '00100040': 'CS',
  '0020000D': 'UI',
  '00200010': 'SH',
  '00201206': 'IS',
  '00201208': 'IS',
}
/** What a source may answer for one study is bounded by nothing but this. */
const INSTANCES_MAX = 1_000_000
/** Studies whose instances were asked for and are about to be fetched. */
const REMEMBERED_MAX = 64

export interface DimseSourceOptions extends ScuOptions {
  /** By C-GET, or by C-MOVE to this AE title, which is Firn's own. */
  moveTo: string | undefined
  arrivals: Arrivals
  /** Studies that are asked for at a time. */
  pageSize: number
}

interface Contents {
  sopInstanceUids: Set<string>
  sopClassUids: Set<string>
}

/** Another archive by DIMSE: C-FIND tells what there is, C-GET or C-MOVE brings it. */
export class DimseSource implements ImportSource {
  readonly type = 'dimse'
  readonly address: string
  readonly #options: DimseSourceOptions
  readonly #contents = new Map<string, Contents>()

  constructor(options: DimseSourceOptions) {
    this.#options = options
    this.address = options.peer.host
  }

  list(cursor: string | undefined, signal: AbortSignal): AsyncGenerator<ListedPage> {
    return listByDates(cursor, {
      ask: (dates, offset) => this.#page(dates === undefined ? {} : { '00080020': dates }, offset, signal),
      all: () => this.#studies({}, signal),
    })
  }

  async contents(studyUid: string, signal: AbortSignal): Promise<ReadonlySet<string>> {
    const contents: Contents = { sopInstanceUids: new Set(), sopClassUids: new Set() }
    for (const seriesUid of await this.#series(studyUid, signal)) {
      const keys = {
        ...uid('0020000D', studyUid),
        ...uid('0020000E', seriesUid),
        ...uid('00080018'),
        ...uid('00080016'),
      }
      for await (const answer of find(this.#options, atLevel('IMAGE', keys), signal)) {
        const sopInstanceUid = textOf(answer, '00080018')?.trim() ?? ''
        const sopClassUid = textOf(answer, '00080016')?.trim() ?? ''
        if (isUid(sopInstanceUid) && contents.sopInstanceUids.size < INSTANCES_MAX) {
          contents.sopInstanceUids.add(sopInstanceUid)
        }
        if (isUid(sopClassUid)) contents.sopClassUids.add(sopClassUid)
      }
    }
    if (this.#contents.size >= REMEMBERED_MAX) this.#contents.clear()
    this.#contents.set(studyUid, contents)
    return contents.sopInstanceUids
  }

  async *fetch(studyUid: string, signal: AbortSignal): AsyncGenerator<SourceInstance> {
    const sopClassUids = this.#contents.get(studyUid)?.sopClassUids ?? new Set<string>()
    this.#contents.delete(studyUid)
    const identifier = atLevel('STUDY', uid('0020000D', studyUid))
    if (this.#options.moveTo !== undefined) {
      for await (const receipt of this.#moved(studyUid, identifier, signal)) {
        yield { name: receipt.sopInstanceUid, receipt }
      }
      return
    }
    for await (const { sopInstanceUid, body } of getInstances(this.#options, identifier, sopClassUids, signal)) {
      yield { name: sopInstanceUid, body }
    }
  }

  async again(
    { studyUid, seriesUid, sopInstanceUid, sopClassUid }: InstanceIdentifiers,
    { slowed, signal }: { slowed: Slow; signal: AbortSignal },
  ): Promise<string | undefined> {
    const keys = { ...uid('0020000D', studyUid), ...uid('0020000E', seriesUid), ...uid('00080018', sopInstanceUid) }
    const identifier = atLevel('IMAGE', keys)
    if (this.#options.moveTo !== undefined) {
      for await (const receipt of this.#moved(studyUid, identifier, signal)) {
        if (receipt.sopInstanceUid === sopInstanceUid) return receipt.sha256
      }
      return undefined
    }
    const found = getInstances(this.#options, identifier, new Set([sopClassUid]), signal)
    for await (const { body } of found) return await digestOf(slowed(body))
    return undefined
  }

  async find(keys: { studyUid?: string; patientId?: string }, signal: AbortSignal): Promise<FoundStudy[]> {
    const match: Record<Tag, string> = {}
    if (keys.studyUid !== undefined) match['0020000D'] = keys.studyUid
    if (keys.patientId !== undefined) match['00100020'] = keys.patientId
    return (await this.#page(match, 0, signal)).studies
  }

  /** C-FIND knows no offset: what comes before it is passed over. */
  async #page(match: Record<Tag, string>, offset: number, signal: AbortSignal) {
    const studies: FoundStudy[] = []
    let passed = 0
    for await (const study of this.#studies(match, signal)) {
      if (passed < offset) passed += 1
      else if (studies.length === this.#options.pageSize) return { studies, more: true }
      else studies.push(study)
    }
    return { studies, more: false }
  }

  async *#studies(match: Record<Tag, string>, signal: AbortSignal): AsyncGenerator<FoundStudy> {
    const keys: DicomJson = {}
    for (const [tag, vr] of Object.entries(STUDY_KEYS)) {
      const value = match[tag]
      keys[tag] = value === undefined ? { vr } : { vr, Value: [value] }
    }
    for await (const answer of find(this.#options, atLevel('STUDY', keys), signal)) {
      const study = foundStudy(answer)
      if (study) yield study
    }
  }

  async #series(studyUid: string, signal: AbortSignal): Promise<Set<string>> {
    const uids = new Set<string>()
    const keys = { ...uid('0020000D', studyUid), ...uid('0020000E') }
    for await (const answer of find(this.#options, atLevel('SERIES', keys), signal)) {
      const seriesUid = textOf(answer, '0020000E')?.trim() ?? ''
      if (isUid(seriesUid)) uids.add(seriesUid)
    }
    return uids
  }

  /** C-MOVE as SCU (PS3.4 C.4.2): the instances arrive at Firn's own storage SCP, and their receipts here. */
  async *#moved(studyUid: string, identifier: DicomJson, signal: AbortSignal): AsyncGenerator<Receipt> {
    const { peer, arrivals, moveTo = '' } = this.#options
    const arrived: { receipt: Receipt; noted(): void }[] = []
    let [over, wake] = [false, () => {}]
    const unwatch = arrivals.watch(studyUid, (receipt) => {
      if (over) return Promise.resolve()
      return new Promise((noted) => {
        arrived.push({ receipt, noted })
        wake()
      })
    })
    let ended: Promise<void> = Promise.resolve()
    try {
      const contexts = [queryContext(1, STUDY_ROOT_MOVE)]
      const { association, context, end } = await associate({ ...this.#options, contexts }, STUDY_ROOT_MOVE, signal)
      let answered = false
      ended = retrieve(association, context, { moveDestination: moveTo, identifier, peer })
        .finally(end)
        .finally(() => {
          answered = true
          wake()
        })
      ended.catch(() => undefined)
      while (!answered || arrived.length > 0) {
        const [next] = arrived
        if (next) {
          yield next.receipt
          arrived.shift()
          next.noted()
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      }
      await ended
    } finally {
      // Whoever leaves early keeps nobody waiting: what still comes is taken as from anybody.
      over = true
      unwatch()
      for (const { noted } of arrived) noted()
      await ended.catch(() => undefined)
    }
  }
}

function uid(tag: Tag, value?: string): DicomJson {
  return { [tag]: value === undefined ? { vr: 'UI' } : { vr: 'UI', Value: [value] } }
}

const atLevel = (level: string, keys: DicomJson): DicomJson => ({ ...keys, '00080052': { vr: 'CS', Value: [level] } })
