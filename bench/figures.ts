/** What is measured, in the order of the table, with the targets as ratios. */

export interface Target {
  over: 'orthanc' | 'raw'
  atLeast: number
}

export interface FigureKind {
  title: string
  unit: 'inst/s' | 'MB/s' | 'ms'
  targets: readonly Target[]
}

const beat = (orthanc: number, raw?: number): readonly Target[] => [
  { over: 'orthanc', atLeast: orthanc },
  ...(raw === undefined ? [] : [{ over: 'raw', atLeast: raw } as const]),
]

export const figureKinds = {
  'ct.stow': { title: 'CT STOW, 4 clients, 10 a request', unit: 'inst/s', targets: beat(2.5, 0.7) },
  'ct.store1': { title: 'CT C-STORE, 1 association', unit: 'inst/s', targets: beat(1.5) },
  'ct.store4': { title: 'CT C-STORE, 4 associations', unit: 'inst/s', targets: beat(2.5) },
  'ct.storeDefault': { title: 'CT C-STORE, 1, storescu defaults', unit: 'inst/s', targets: [] },
  'ct.wado1': { title: 'CT WADO-RS study, 1 client', unit: 'MB/s', targets: beat(1.8) },
  'ct.wado4': { title: 'CT WADO-RS study, 4 clients', unit: 'MB/s', targets: beat(1.8) },
  'ct.metadataFirst': { title: 'CT study metadata, first', unit: 'ms', targets: beat(10) },
  'ct.metadata': { title: 'CT study metadata, repeated', unit: 'ms', targets: beat(10) },
  'ct.lone': { title: 'CT STOW, lone instance, p50', unit: 'ms', targets: [] },
  'ct.lone95': { title: 'CT STOW, lone instance, p95', unit: 'ms', targets: [] },
  'mr.stow': { title: 'MR STOW, 4 clients, 10 a request', unit: 'inst/s', targets: beat(4, 1.5) },
  'mr.store1': { title: 'MR C-STORE, 1 association', unit: 'inst/s', targets: beat(1.5) },
  'mr.store4': { title: 'MR C-STORE, 4 associations', unit: 'inst/s', targets: beat(2.5) },
  'mr.storeDefault': { title: 'MR C-STORE, 1, storescu defaults', unit: 'inst/s', targets: [] },
  'mr.wado1': { title: 'MR WADO-RS study, 1 client', unit: 'MB/s', targets: beat(1.8) },
  'mr.wado4': { title: 'MR WADO-RS study, 4 clients', unit: 'MB/s', targets: beat(1.8) },
  'mr.metadataFirst': { title: 'MR study metadata, first', unit: 'ms', targets: beat(10) },
  'mr.metadata': { title: 'MR study metadata, repeated', unit: 'ms', targets: beat(10) },
  'mr.lone': { title: 'MR STOW, lone instance, p50', unit: 'ms', targets: [] },
  'mr.lone95': { title: 'MR STOW, lone instance, p95', unit: 'ms', targets: [] },
  'dx.stow': { title: 'DX STOW, 4 clients, 10 a request', unit: 'inst/s', targets: beat(2.5) },
  'dx.store1': { title: 'DX C-STORE, 1 association', unit: 'inst/s', targets: beat(1.5) },
  'dx.store4': { title: 'DX C-STORE, 4 associations', unit: 'inst/s', targets: beat(2.5) },
  'dx.storeDefault': { title: 'DX C-STORE, 1, storescu defaults', unit: 'inst/s', targets: [] },
  'dx.wado1': { title: 'DX WADO-RS study, 1 client', unit: 'MB/s', targets: beat(1.8) },
  'dx.wado4': { title: 'DX WADO-RS study, 4 clients', unit: 'MB/s', targets: beat(1.8) },
  'huge.stow': { title: 'one huge multi-frame by STOW', unit: 'MB/s', targets: [] },
  'qido.exact': { title: 'QIDO PatientID, exact', unit: 'ms', targets: beat(5) },
  'qido.prefix': { title: 'QIDO PatientName ABC*', unit: 'ms', targets: beat(5) },
  'qido.infix': { title: 'QIDO PatientName *BC*', unit: 'ms', targets: beat(5) },
  'qido.infixLimit': { title: 'QIDO PatientName *BC*, limit 100', unit: 'ms', targets: beat(5) },
  'qido.week': { title: 'QIDO StudyDate, a week', unit: 'ms', targets: beat(5) },
  'qido.yearLimit': { title: 'QIDO StudyDate, a year, limit 100', unit: 'ms', targets: beat(5) },
} as const satisfies Record<string, FigureKind>

export type FigureId = keyof typeof figureKinds
export type Subject = 'raw' | 'firn' | 'orthanc'

/** Firn's resident memory must stay below this in every workload, in bytes. */
export const residentBytesMax = 350e6
