/** Writes a workload's files, in one folder per association that will send them. */
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { dicomFile, identifiers } from '../test/fixtures/dicom.ts'
import { ctSlice, ctStudies, digitalXRay, digitalXRays, mrSlice, mrStudies } from '../test/fixtures/workloads.ts'

export type ImageKind = 'ct' | 'mr' | 'dx'

export interface FileSet {
  files: string[]
  /** Four folders, with a quarter of the studies each. */
  folders: string[]
  studyUids: string[]
  bytes: number
}

const sizes = {
  ct: { ...ctStudies, slice: ctSlice },
  mr: { ...mrStudies, slice: mrSlice },
  dx: {
    studies: digitalXRays,
    instances: 1,
    slice: (study: number, _instance: number, run: string) => digitalXRay(study, run),
  },
} as const

/** What `short` leaves of a workload: a quarter of the instances, but at least one from each folder. */
export function sizeOf(kind: ImageKind, short: boolean): { studies: number; instances: number } {
  const { studies, instances } = sizes[kind]
  if (!short) return { studies, instances }
  return kind === 'ct'
    ? { studies, instances: Math.ceil(instances / 4) }
    : { studies: Math.ceil(studies / 4 / 4) * 4, instances }
}

export function writeFileSet(
  kind: ImageKind,
  folder: string,
  run: string,
  size: { studies: number; instances: number },
): FileSet {
  const { slice } = sizes[kind]
  const set: FileSet = { files: [], folders: [], studyUids: [], bytes: 0 }
  for (let study = 0; study < size.studies; study++) {
    const home = path.join(folder, `${study % 4}`)
    if (!set.folders.includes(home)) set.folders.push(home)
    const inner = path.join(home, `${study}`)
    mkdirSync(inner, { recursive: true })
    set.studyUids.push(identifiers(slice(study, 0, run)).studyUid)
    for (let instance = 0; instance < size.instances; instance++) {
      const bytes = dicomFile(slice(study, instance, run))
      const file = path.join(inner, `${instance}.dcm`)
      writeFileSync(file, bytes)
      set.files.push(file)
      set.bytes += bytes.length
    }
  }
  return set
}
