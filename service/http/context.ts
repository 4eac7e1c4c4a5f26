import type { Logger } from 'pino'
import type { AuditTrail } from '../audit/ports.ts'
import type { CatalogueJournal, CatalogueReader } from '../catalogue/ports.ts'
import type { Correct, ReadCorrected, ReadCorrections } from '../corrections/ports.ts'
import type { Receive } from '../ingest/ports.ts'
import type { BulkReader } from '../retrieve/bulk.ts'
import type { MetadataStore } from '../retrieve/metadata.ts'
import type { OpenInstances, ReadInstances } from '../retrieve/ports.ts'

/** The use cases that HTTP routes speak to. */
export interface DicomWebContext {
  receive: Receive
  catalogue: CatalogueReader & CatalogueJournal
  instances: OpenInstances & ReadInstances
  metadata: MetadataStore
  bulk: BulkReader
  corrections: ReadCorrections
  correct: Correct
  corrected: ReadCorrected
  /** What DELETE of DICOMweb does. */
  dicomwebDelete: 'refuse' | 'hide'
  /** Origin for URLs in answers; undefined: as the client said it. */
  publicUrl: string | undefined
  resultsMax: number
  audit: AuditTrail
  log: Logger
}
