import { setImmediate } from 'node:timers/promises'
import type { Failure, JudgedReference, Reference } from '../commitment/ports.ts'
import { bytesOf, type ParsedDataSet } from '../dicom/data-set.ts'
import { encodeDataSet } from '../dicom/encode.ts'
import { readDataSet } from '../dicom/read-data-set.ts'
import type { DicomJson } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import { failureReason } from './status-map.ts'

/** Transaction UID, Failed SOP Sequence, Referenced SOP Sequence, and what is in their items (PS3.3 C.14). */
const TRANSACTION_UID = 'x00081195'
const REFERENCED_SOP_SEQUENCE = 'x00081199'
const SOP_CLASS_UID = 'x00081150'
const SOP_INSTANCE_UID = 'x00081155'

const ITEMS_PER_TURN = 500
const UNDEFINED_LENGTH = 0xffffffff

export interface ActionInformation {
  transactionUid: string
  references: Reference[]
}

function uidIn(dataSet: ParsedDataSet | undefined, tag: string): string {
  const element = dataSet?.elements[tag]
  if (!dataSet || !element) return ''
  const { dataOffset, length } = element
  return bytesOf(dataSet)
    .toString('latin1', dataOffset, dataOffset + Math.min(length, 128))
    .replace(/[\0 ]+$/, '')
}

/**
 * The Action Information of Request Storage Commitment (PS3.4 table J.3-1). Throws ArchiveError `invalid_request`, and
 * `too_large` for more than `referencesMax` references.
 */
export function readActionInformation(
  bytes: Buffer,
  syntax: 'implicit' | 'explicit',
  referencesMax: number,
): ActionInformation {
  const dataSet = readDataSet(bytes, 0, bytes.length, syntax)
  const items = dataSet.elements[REFERENCED_SOP_SEQUENCE]?.items ?? []
  if (items.length > referencesMax) {
    throw new ArchiveError('too_large', `more than ${referencesMax} instances; ask in several requests`)
  }
  // A request names few SOP Classes, many times.
  const classes = new Map<string, string>()
  const references = items.map((item) => {
    const uid = uidIn(item.dataSet, SOP_CLASS_UID)
    const sopClassUid = classes.get(uid) ?? uid
    classes.set(uid, sopClassUid)
    return { sopClassUid, sopInstanceUid: uidIn(item.dataSet, SOP_INSTANCE_UID) }
  })
  return { transactionUid: uidIn(dataSet, TRANSACTION_UID), references }
}

export interface Report {
  transactionUid: string
  /** Where the committed instances may be retrieved from. */
  aeTitle: string
  failed: AsyncIterable<JudgedReference> | undefined
  committed: AsyncIterable<JudgedReference> | undefined
}

/**
 * The Event Information of a result (PS3.4 table J.3-2) while it is made: the sequences have undefined lengths, so that no
 * more than a page of them is in memory.
 */
export async function* encodeReport(report: Report, syntax: 'implicit' | 'explicit'): AsyncGenerator<Buffer> {
  const { transactionUid, aeTitle, failed, committed } = report
  const head: DicomJson = {
    '00080054': { vr: 'AE', Value: [aeTitle] },
    '00081195': { vr: 'UI', Value: [transactionUid] },
  }
  yield encodeDataSet(head, syntax)
  if (failed) yield* encodeSequence(0x1198, failed, syntax)
  if (committed) yield* encodeSequence(0x1199, committed, syntax)
}

async function* encodeSequence(
  element: number,
  references: AsyncIterable<JudgedReference>,
  syntax: 'implicit' | 'explicit',
): AsyncGenerator<Buffer> {
  yield sequenceHeader(element, syntax)
  let items: Buffer[] = []
  for await (const reference of references) {
    items.push(encodeItem(reference, syntax))
    if (items.length < ITEMS_PER_TURN) continue
    yield Buffer.concat(items)
    items = []
    await setImmediate()
  }
  yield Buffer.concat([...items, delimiter(0xe0dd, 0)])
}

function sequenceHeader(element: number, syntax: 'implicit' | 'explicit'): Buffer {
  const header = Buffer.alloc(syntax === 'explicit' ? 12 : 8)
  header.writeUInt16LE(0x0008, 0)
  header.writeUInt16LE(element, 2)
  if (syntax === 'explicit') header.write('SQ', 4, 'latin1')
  header.writeUInt32LE(UNDEFINED_LENGTH, header.length - 4)
  return header
}

function delimiter(element: number, length: number): Buffer {
  const header = Buffer.alloc(8)
  header.writeUInt16LE(0xfffe, 0)
  header.writeUInt16LE(element, 2)
  header.writeUInt32LE(length, 4)
  return header
}

function encodeItem(reference: JudgedReference, syntax: 'implicit' | 'explicit'): Buffer {
  const { sopClassUid, sopInstanceUid, verdict } = reference
  const item: DicomJson = {
    '00081150': { vr: 'UI', Value: [sopClassUid] },
    '00081155': { vr: 'UI', Value: [sopInstanceUid] },
  }
  if (verdict !== 'committed') item['00081197'] = { vr: 'US', Value: [failureReason(verdict as Failure)] }
  const content = encodeDataSet(item, syntax)
  return Buffer.concat([delimiter(0xe000, content.length), content])
}
