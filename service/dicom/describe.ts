import { toDicomJson } from './json.ts'
import { INSTANCE_TAGS, PATIENT_TAGS, SERIES_TAGS, STUDY_TAGS } from './levels.ts'
import type { Header } from './part10.ts'
import type { DicomJson, Tag } from './types.ts'

const INSTANCE = new Set(INSTANCE_TAGS)
const SERIES = new Set(SERIES_TAGS)
const STUDY = new Set([...PATIENT_TAGS, ...STUDY_TAGS])

/** A longer value is left out: one of a megabyte may have half a million parts. The standard's limits are far below. */
const VALUE_BYTES_MAX = 16 * 1024

/** What a data set says of itself at each level, decoded; the upper levels are worked out only when they are needed. */
export interface InstanceAttributes {
  instance: DicomJson
  series(): DicomJson
  /** Patient and study. */
  study(): DicomJson
}

/** The catalogue's view of a header. Call while the header's bytes are at hand. */
export function describeInstance(header: Header): InstanceAttributes {
  const pick = (only: ReadonlySet<Tag>): DicomJson =>
    toDicomJson(header.dataSet, { only, valueBytesMax: VALUE_BYTES_MAX })
  return { instance: pick(INSTANCE), series: () => pick(SERIES), study: () => pick(STUDY) }
}

/** The same from DICOM JSON that was made of the whole header. */
export function describeFromJson(json: DicomJson): InstanceAttributes {
  const pick = (only: ReadonlySet<Tag>): DicomJson =>
    Object.fromEntries(Object.entries(json).filter(([tag]) => only.has(tag)))
  return { instance: pick(INSTANCE), series: () => pick(SERIES), study: () => pick(STUDY) }
}

/** The first value of an attribute as text; undefined when there is none. */
export function textOf(json: DicomJson, tag: Tag): string | undefined {
  const value = json[tag]?.Value?.[0]
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : undefined
}

/** The first value of an attribute as an integer; undefined when it is none. */
export function integerOf(json: DicomJson, tag: Tag): number | undefined {
  const text = textOf(json, tag)
  const value = text === undefined ? Number.NaN : Number(text)
  return Number.isSafeInteger(value) ? value : undefined
}
