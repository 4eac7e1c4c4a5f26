import type { InstanceRecord } from '../catalogue/ports.ts'
import { lookInto } from '../dicom/read-header.ts'
import { Describer } from './describer.ts'
import type { OpenInstances } from './ports.ts'

/** Makes the DICOM JSON of stored instances. */
export class RecordDescriber {
  readonly #instances: OpenInstances
  readonly #headerBytesMax: number
  readonly #describer = new Describer()

  constructor(instances: OpenInstances, headerBytesMax: number) {
    this.#instances = instances
    this.#headerBytesMax = headerBytesMax
  }

  async close(): Promise<void> {
    await this.#describer.close()
  }

  /** One line of UTF-8, bulk data as URIs below `bulkDataRoot`. Throws ArchiveError `storage_failed`, `unavailable`. */
  describe(record: InstanceRecord, bulkDataRoot: string): Promise<Buffer> {
    const { sizeBytes } = record
    const opened = this.#instances.open(record)
    const read = (start: number, end: number) => opened.bytes(start, end)
    return lookInto(read, sizeBytes, this.#headerBytesMax, (beginning) =>
      this.#describer.describe({ ...beginning, bulkDataRoot }),
    )
  }
}
