import {
  type DicomOptions,
  dataSetOffset,
  dicomFile,
  type Identifiers,
  identifiers,
  sopClasses,
  transferSyntaxes,
} from '../fixtures/dicom.ts'
import type { Random } from './random.ts'

export interface Instance extends Identifiers {
  transferSyntaxUid: string
  file: Buffer
  /** What C-STORE carries: the file without preamble and file meta information. */
  dataSet: Buffer
}

/** One small CT instance with random identifiers where none are given; instances of one study have one patient. */
export function makeInstance(random: Random, options: DicomOptions = {}): Instance {
  const studyUid = options.studyUid ?? random.uid()
  const name = studyUid.slice(-12)
  const full: DicomOptions = {
    seed: random.uid(),
    sopClassUid: sopClasses.ct,
    patientId: `P${name}`,
    patientName: `Test^${name}`,
    accessionNumber: `A${name}`,
    ...options,
    studyUid,
  }
  const file = dicomFile(full)
  return {
    ...identifiers(full),
    transferSyntaxUid: transferSyntaxes[full.transferSyntax ?? 'explicitLittle'],
    file,
    dataSet: file.subarray(dataSetOffset(full)),
  }
}

/** An instance with `sizeBytes` of random pixel data. */
export function instanceOfSize(random: Random, sizeBytes: number, options: DicomOptions = {}): Instance {
  return makeInstance(random, { ...options, pixelData: random.bytes(sizeBytes) })
}

export function uidsOf({ studyUid, seriesUid, sopInstanceUid }: Identifiers) {
  return { studyUid, seriesUid, sopInstanceUid }
}
