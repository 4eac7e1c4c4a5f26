import type { QueryLevel } from '../catalogue/ports.ts'

export const VERIFICATION = '1.2.840.10008.1.1'

/** Storage Commitment Push Model (PS3.4 J.3.5), and the instance that stands for it. */
export const STORAGE_COMMITMENT = '1.2.840.10008.1.20.1'
export const STORAGE_COMMITMENT_INSTANCE = '1.2.840.10008.1.20.1.1'

/** PS3.4 C.3: which levels a query/retrieve information model has, as Query/Retrieve Level names them. */
export interface InformationModel {
  name: 'patient root' | 'study root'
  levels: ReadonlyMap<string, QueryLevel>
}

const STUDY_LEVELS = [
  ['STUDY', 'study'],
  ['SERIES', 'series'],
  ['IMAGE', 'instance'],
] as const

const PATIENT_ROOT: InformationModel = {
  name: 'patient root',
  levels: new Map<string, QueryLevel>([['PATIENT', 'patient'], ...STUDY_LEVELS]),
}

const STUDY_ROOT: InformationModel = { name: 'study root', levels: new Map<string, QueryLevel>(STUDY_LEVELS) }

type Models = ReadonlyMap<string, InformationModel>

export const FIND_SOP_CLASSES: Models = new Map([
  ['1.2.840.10008.5.1.4.1.2.1.1', PATIENT_ROOT],
  ['1.2.840.10008.5.1.4.1.2.2.1', STUDY_ROOT],
])

export const MOVE_SOP_CLASSES: Models = new Map([
  ['1.2.840.10008.5.1.4.1.2.1.2', PATIENT_ROOT],
  ['1.2.840.10008.5.1.4.1.2.2.2', STUDY_ROOT],
])

export const GET_SOP_CLASSES: Models = new Map([
  ['1.2.840.10008.5.1.4.1.2.1.3', PATIENT_ROOT],
  ['1.2.840.10008.5.1.4.1.2.2.3', STUDY_ROOT],
])
