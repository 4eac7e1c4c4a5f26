import type { DicomJson } from '../dicom/types.ts'
import { toNativeXml } from '../dicom/xml.ts'

/** No data can hold it behind a line's end: XML has line breaks only as references. */
const BOUNDARY = 'firn-xml'

/** Content type of several data sets in XML (PS3.18 8.7.3.2). */
export const XML_PARTS = `multipart/related; type="application/dicom+xml"; boundary=${BOUNDARY}`

/** Data sets as parts in the Native DICOM Model, one at a time. */
export async function* xmlParts(dataSets: Iterable<DicomJson> | AsyncIterable<DicomJson>): AsyncGenerator<Buffer> {
  for await (const dataSet of dataSets) {
    yield Buffer.from(`--${BOUNDARY}\r\nContent-Type: application/dicom+xml\r\n\r\n${toNativeXml(dataSet)}\r\n`)
  }
  yield Buffer.from(`--${BOUNDARY}--\r\n`)
}

const LINE_END = 0x0a

/** The objects of a JSON array that comes with each of them on a line of its own, holding one line at a time. */
export async function* objectsOf(array: AsyncIterable<Buffer>): AsyncGenerator<DicomJson> {
  let pieces: Buffer[] = []
  for await (const chunk of array) {
    let from = 0
    for (let end = chunk.indexOf(LINE_END); end >= 0; end = chunk.indexOf(LINE_END, from)) {
      yield objectOn([...pieces, chunk.subarray(from, end)])
      pieces = []
      from = end + 1
    }
    pieces.push(chunk.subarray(from))
  }
  if (pieces.some((piece) => piece.length > 0)) yield objectOn(pieces)
}

function objectOn(pieces: readonly Buffer[]): DicomJson {
  const text = Buffer.concat(pieces).toString('utf8')
  return JSON.parse(text.replace(/^\[/, '').replace(/[,\]]$/, '')) as DicomJson
}
