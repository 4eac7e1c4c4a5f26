import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { lookUp } from '../dicom/dictionary.ts'
import { stringifyDicomJson, toDicomJson } from '../dicom/json.ts'
import { LEVEL_TAGS } from '../dicom/levels.ts'
import { parseHeader } from '../dicom/part10.ts'
import type { DescribeReply, DescribeRequest } from './describer.ts'

/** What is prepared in advance must not keep senders and readers waiting: a third of the time that another thread gets. */
const NICENESS = 5
/** Elements and items of one header; an enhanced object of thousands of frames has so many. */
const BUDGET = { elements: 400_000 }
const JSON_BYTES_MAX = 64 * 1024 * 1024
const LEVELS = new Set(Object.values(LEVEL_TAGS).flat())

function describe({ bytes, whole, last, bulkDataRoot }: DescribeRequest): DescribeReply {
  const header = parseHeader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), whole, BUDGET)
  if (!header.complete && !last) return { more: true }
  const text = (only?: ReadonlySet<string>): Buffer => {
    const bulkDataUri = (path: string) => `${bulkDataRoot}/${path}`
    const json = toDicomJson(header.dataSet, only ? { bulkDataUri, only } : { bulkDataUri })
    if (json['00080005']) json['00080005'] = { vr: 'CS', Value: ['ISO_IR 192'] }
    return Buffer.from(stringifyDicomJson(json))
  }
  const all = text()
  return { json: all.length <= JSON_BYTES_MAX ? all : text(LEVELS) }
}

function answer(request: DescribeRequest): DescribeReply {
  try {
    return describe(request)
  } catch (error) {
    return { error: (error as Error).message }
  }
}

/** On Linux this is the thread's priority alone, elsewhere the process's. */
function yieldToOthers(): void {
  if (process.platform !== 'linux') return
  try {
    setPriority(NICENESS)
  } catch {
    // Not allowed here: it is as quick as the others then.
  }
}

yieldToOthers()
// The dictionary is loaded at the first look.
lookUp('00080018')
parentPort?.on('message', (request: DescribeRequest) => parentPort?.postMessage(answer(request)))
