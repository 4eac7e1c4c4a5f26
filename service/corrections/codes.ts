/** Why an instance is rejected: a code of DICOM PS3.16 CID 7011, or Firn's own for what DICOMweb DELETE hides. */
export interface RejectionReason {
  scheme: 'DCM' | '99FIRN'
  meaning: string
  /**
   * What becomes of an instance that is sent again after it was rejected: it stays hidden, or it is shown again because
   * who sends it wants it kept. Its bytes are taken in and acknowledged either way.
   */
  sentAgain: 'stays' | 'restored'
}

export const QUALITY = '113001'
export const DELETED = 'DELETED'

/** Codes as IHE's Imaging Object Change Management uses them (RAD TF-2, 4.66.4.1.3), by code value. */
export const REJECTION_REASONS: Readonly<Record<string, RejectionReason>> = {
  [QUALITY]: { scheme: 'DCM', meaning: 'Rejected for Quality Reasons', sentAgain: 'stays' },
  '113037': { scheme: 'DCM', meaning: 'Rejected for Patient Safety Reasons', sentAgain: 'stays' },
  '113038': { scheme: 'DCM', meaning: 'Incorrect Modality Worklist Entry', sentAgain: 'stays' },
  '113039': { scheme: 'DCM', meaning: 'Data Retention Policy Expired', sentAgain: 'restored' },
  [DELETED]: { scheme: '99FIRN', meaning: 'Deleted by DICOMweb', sentAgain: 'restored' },
}

/** The code value of a rejection that a document title stands for; undefined for any other title. */
export function rejectionCode(scheme: string, value: string): string | undefined {
  const reason = Object.hasOwn(REJECTION_REASONS, value) ? REJECTION_REASONS[value] : undefined
  return reason?.scheme === scheme && scheme === 'DCM' ? value : undefined
}
