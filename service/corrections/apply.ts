import type { DicomJson, JsonAttribute, Tag } from '../dicom/types.ts'
import { isOfPatient, type Laid } from './overlay.ts'

const ORIGINAL_ATTRIBUTES = '04000561'
const MODIFYING_SYSTEM = 'FIRN'

/** What becomes of one instance's header. */
export interface Relabelled {
  /** Attributes to write, by tag; those with no value are emptied. */
  replaced: DicomJson
  /** Attributes to leave out. */
  dropped: readonly Tag[]
  /** The item to add to the Original Attributes Sequence (PS3.3 C.12.1.1.9). */
  original: DicomJson
}

/** Undefined where the header says all of that already. `laid`: of the study, and of the series. */
export function relabelled(header: DicomJson, laid: readonly Laid[]): Relabelled | undefined {
  const replaced: DicomJson = {}
  for (const one of laid) Object.assign(replaced, one.replaced)
  const redirected = laid.some((one) => one.redirected)
  const dropped = redirected ? Object.keys(header).filter((tag) => isOfPatient(tag) && !replaced[tag]) : []
  const changed = Object.entries(replaced).filter(([tag, { Value }]) => !sameValue(header[tag]?.Value, Value))
  if (changed.length === 0 && dropped.length === 0) return undefined
  const tags = [...changed.map(([tag]) => tag), ...dropped].sort()
  const before = tags.map((tag): [Tag, JsonAttribute] => [tag, header[tag] ?? { vr: replaced[tag]?.vr ?? 'UN' }])
  const at = laid.reduce((last, one) => (one.at > last ? one.at : last), '')
  return {
    replaced: Object.fromEntries(changed),
    dropped,
    original: originalItem(Object.fromEntries(before), at),
  }
}

function originalItem(before: DicomJson, at: string): DicomJson {
  return {
    // Modified Attributes Sequence, Attribute Modification DateTime, Modifying System, Source of Previous Values, Reason.
    '04000550': { vr: 'SQ', Value: [before] },
    '04000562': { vr: 'DT', Value: [`${at.replace(/[-:TZ]/g, '').slice(0, 18)}+0000`] },
    '04000563': { vr: 'LO', Value: [MODIFYING_SYSTEM] },
    '04000564': { vr: 'LO' },
    '04000565': { vr: 'CS', Value: ['CORRECT'] },
  }
}

function sameValue(a: JsonAttribute['Value'], b: JsonAttribute['Value']): boolean {
  return JSON.stringify(a ?? []) === JSON.stringify(b ?? [])
}

/** An instance's DICOM JSON as it is shown, with what it was before. */
export function correctedJson(header: DicomJson, laid: readonly Laid[]): DicomJson {
  const change = relabelled(header, laid)
  if (!change) return header
  const all: DicomJson = { ...header, ...change.replaced }
  for (const tag of change.dropped) delete all[tag]
  const items = [...(header[ORIGINAL_ATTRIBUTES]?.Value ?? []), change.original]
  all[ORIGINAL_ATTRIBUTES] = { vr: 'SQ', Value: items }
  return Object.fromEntries(
    Object.keys(all)
      .sort()
      .map((tag) => [tag, all[tag] as JsonAttribute]),
  )
}
