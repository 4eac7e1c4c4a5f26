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

/** One small CT instance with random identifiers where none are given. */
export function makeInstance(random: Random, options: DicomOptions = {}): Instance {
  const full: DicomOptions = { seed: random.uid(), sopClassUid: sopClasses.ct, ...options }
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
