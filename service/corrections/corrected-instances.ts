import type { InstanceRecord } from '../catalogue/ports.ts'
import { parseHeader } from '../dicom/part10.ts'
import { lookInto } from '../dicom/read-header.ts'
import type { OpenInstances } from '../retrieve/ports.ts'
import type { CorrectedInstance, ReadCorrected, ReadCorrections } from './ports.ts'
import { rewritten } from './rewrite.ts'

/** Versions of stored instances with corrections laid over their headers; made when they are asked for, never kept. */
export class CorrectedInstances implements ReadCorrected {
  readonly #instances: OpenInstances
  readonly #corrections: Pick<ReadCorrections, 'corrected'>
  readonly #headerBytesMax: number

  constructor(instances: OpenInstances, corrections: Pick<ReadCorrections, 'corrected'>, headerBytesMax: number) {
    this.#instances = instances
    this.#corrections = corrections
    this.#headerBytesMax = headerBytesMax
  }

  async open(record: InstanceRecord): Promise<CorrectedInstance> {
    const opened = this.#instances.open(record)
    const { sizeBytes } = record
    const corrected = await this.#corrections.corrected(record.studyUid)
    const ofSeries = corrected?.series.get(record.seriesUid)
    const laid = corrected ? [corrected.laid, ...(ofSeries ? [ofSeries] : [])] : []
    const asStored: CorrectedInstance = { corrected: false, sizeBytes, bytes: () => opened.bytes() }
    if (laid.length === 0) return asStored
    const read = (start: number, end: number) => opened.bytes(start, end)
    const { change } = await lookInto(read, sizeBytes, this.#headerBytesMax, ({ bytes, whole, last }) => {
      const header = parseHeader(bytes, whole)
      return header.complete || last ? { change: rewritten(bytes, header, laid) } : undefined
    })
    if (!change) return asStored
    const { head, restFrom } = change
    return {
      corrected: true,
      sizeBytes: head.length + sizeBytes - restFrom,
      async *bytes() {
        yield head
        if (restFrom < sizeBytes) yield* opened.bytes(restFrom, sizeBytes)
      },
    }
  }
}
