import type { ProjectEvents } from '../catalogue/ports.ts'
import type { DicomJson } from '../dicom/types.ts'
import type { Event } from '../events/event.ts'
import type { Records } from './records.ts'

export interface RecordContent {
  attributes: DicomJson
  reason: string
}

/**
 * Hands a correction's record to the catalogue beside its event. Where the record isn't here the correction is known and
 * changes nothing until it comes: see `fillMissing`.
 */
export function withRecords(catalogue: ProjectEvents, records: Pick<Records, 'get'>): ProjectEvents {
  return {
    isProjected: (kind) => catalogue.isProjected(kind),
    projectedUpTo: (site) => catalogue.projectedUpTo(site),
    async project(site, events, upTo) {
      const complete: Event[] = []
      for (const event of events) complete.push(await withContent(event, records))
      return catalogue.project(site, complete, upTo)
    },
  }
}

async function withContent(event: Event, records: Pick<Records, 'get'>): Promise<Event> {
  if (event.kind !== 'correction.made') return event
  const content = await contentOf(String(event.data.record), records)
  return content ? Object.assign({ ...event }, { content }) : event
}

const MISSING_PER_PASS = 1000

/** Brings records into the catalogue that are here by now. To be called at a start, and when records came from elsewhere. */
export async function fillMissing(
  catalogue: {
    missingRecords(limit: number): Promise<string[]>
    fillRecord(record: string, content: RecordContent): Promise<void>
  },
  records: Pick<Records, 'get'>,
): Promise<void> {
  for (const record of await catalogue.missingRecords(MISSING_PER_PASS)) {
    const content = await contentOf(record, records)
    if (content) await catalogue.fillRecord(record, content)
  }
}

/** Undefined where there is no such record, or none that could be understood. */
export async function contentOf(sha256: string, records: Pick<Records, 'get'>): Promise<RecordContent | undefined> {
  if (!/^[0-9a-f]{64}$/.test(sha256)) return undefined
  const text = await records.get(sha256)
  if (text === undefined) return undefined
  try {
    const { attributes, reason } = JSON.parse(text) as Partial<RecordContent>
    if (typeof attributes !== 'object' || attributes === null || typeof reason !== 'string') return undefined
    return { attributes, reason }
  } catch {
    return undefined
  }
}
