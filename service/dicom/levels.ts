import type { Tag } from './types.ts'

/**
 * Which attributes the catalogue keeps at which level of the query/retrieve information model: the required keys and
 * return attributes of PS3.18 10.6.3.3 and PS3.4 C.6, and what viewers and worklists commonly ask for beside them.
 */
export const PATIENT_TAGS: readonly Tag[] = [
  '00080005', // SpecificCharacterSet (always given back as ISO_IR 192)
  '00100010', // PatientName
  '00100020', // PatientID
  '00100021', // IssuerOfPatientID
  '00100024', // IssuerOfPatientIDQualifiersSequence
  '00100030', // PatientBirthDate
  '00100032', // PatientBirthTime
  '00100040', // PatientSex
  '00101000', // OtherPatientIDs
  '00101001', // OtherPatientNames
  '00101002', // OtherPatientIDsSequence
  '00102160', // EthnicGroup
  '00104000', // PatientComments
]

export const STUDY_TAGS: readonly Tag[] = [
  '00080020', // StudyDate
  '00080030', // StudyTime
  '00080050', // AccessionNumber
  '00080051', // IssuerOfAccessionNumberSequence
  '00080080', // InstitutionName
  '00080090', // ReferringPhysicianName
  '00080201', // TimezoneOffsetFromUTC
  '00081030', // StudyDescription
  '00081032', // ProcedureCodeSequence
  '00081048', // PhysiciansOfRecord
  '00081060', // NameOfPhysiciansReadingStudy
  '00081080', // AdmittingDiagnosesDescription
  '00101010', // PatientAge
  '00101020', // PatientSize
  '00101030', // PatientWeight
  '00102180', // Occupation
  '001021B0', // AdditionalPatientHistory
  '0020000D', // StudyInstanceUID
  '00200010', // StudyID
  '00321032', // RequestingPhysician
  '00321060', // RequestedProcedureDescription
]

export const SERIES_TAGS: readonly Tag[] = [
  '00080021', // SeriesDate
  '00080031', // SeriesTime
  '00080060', // Modality
  '00080070', // Manufacturer
  '00081010', // StationName
  '0008103E', // SeriesDescription
  '00081040', // InstitutionalDepartmentName
  '00081050', // PerformingPhysicianName
  '00081070', // OperatorsName
  '00081090', // ManufacturerModelName
  '00081111', // ReferencedPerformedProcedureStepSequence
  '00180015', // BodyPartExamined
  '00181030', // ProtocolName
  '00185100', // PatientPosition
  '0020000E', // SeriesInstanceUID
  '00200011', // SeriesNumber
  '00200060', // Laterality
  '00400244', // PerformedProcedureStepStartDate
  '00400245', // PerformedProcedureStepStartTime
  '00400253', // PerformedProcedureStepID
  '00400254', // PerformedProcedureStepDescription
  '00400275', // RequestAttributesSequence
]

export const INSTANCE_TAGS: readonly Tag[] = [
  '00080008', // ImageType
  '00080012', // InstanceCreationDate
  '00080013', // InstanceCreationTime
  '00080016', // SOPClassUID
  '00080018', // SOPInstanceUID
  '00080022', // AcquisitionDate
  '00080023', // ContentDate
  '00080032', // AcquisitionTime
  '00080033', // ContentTime
  '0008002A', // AcquisitionDateTime
  '00200012', // AcquisitionNumber
  '00200013', // InstanceNumber
  '00280008', // NumberOfFrames
  '00280010', // Rows
  '00280011', // Columns
  '00280100', // BitsAllocated
  '0040A043', // ConceptNameCodeSequence
  '0040A491', // CompletionFlag
  '0040A493', // VerificationFlag
  '00700080', // ContentLabel
  '00700081', // ContentDescription
]

export const LEVEL_TAGS = {
  patient: PATIENT_TAGS,
  study: STUDY_TAGS,
  series: SERIES_TAGS,
  instance: INSTANCE_TAGS,
} as const
