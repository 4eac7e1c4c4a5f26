import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { constants, createGunzip, createGzip } from 'node:zlib'
import { ArchiveError } from '../errors.ts'
import type { MetadataMember, PackIndex, PackInstance, ReadRange } from './pack.ts'

/**
 * metadata.json.gz: a JSON array with the DICOM JSON Model of each instance (PS3.18 Annex F), in the order of the pack, a
 * line each: `[`, the objects, `]`. So it can be read line by line, whatever its length, and by any parser of JSON.
 */
const OPENING = Buffer.from('[\n')
const BETWEEN = Buffer.from(',\n')
const CLOSING = Buffer.from('\n]\n')
const NEWLINE = 0x0a

/** One instance's object. What makes them gives as much at most. */
const LINE_BYTES_MAX = 64 * 1024 * 1024
/** Of all together: 400 KB for each of 10,000 instances. Real ones have 3 to 20. */
const TEXT_BYTES_MAX = 4 * 1024 ** 3

export interface MetadataLimits {
  lineBytesMax: number
  textBytesMax: number
}

const LIMITS: MetadataLimits = { lineBytesMax: LINE_BYTES_MAX, textBytesMax: TEXT_BYTES_MAX }

/** RFC 1952: deflate, no flags, no time, no hint at the level, no system: nothing that depends on where it was made. */
const GZIP_HEADER = Buffer.from('1f8b08000000000000ff', 'hex')
/** The usual one. With 9, some 20 bytes less an instance would take up to twice as long. */
const LEVEL = 6
const CHUNK_BYTES = 256 * 1024

/**
 * Makes metadata.json.gz. `describe` gives the DICOM JSON of an instance in one line of UTF-8, or undefined where there is
 * none; an instance without it, and one for which there is no room, has its identifiers only.
 *
 * @param instances in the order of the pack (`byPlaceInPack`)
 */
export function packMetadata<Instance extends PackInstance>(
  studyUid: string,
  instances: readonly Instance[],
  describe: (instance: Instance) => Promise<Buffer | undefined>,
  limits = LIMITS,
): AsyncIterable<Buffer> {
  const text = lines(studyUid, instances, describe, limits)
  const gzip = createGzip({ level: LEVEL, memLevel: 8, strategy: constants.Z_DEFAULT_STRATEGY, chunkSize: CHUNK_BYTES })
  return withOwnHeader(through(gathered(text), gzip))
}

async function* lines<Instance extends PackInstance>(
  studyUid: string,
  instances: readonly Instance[],
  describe: (instance: Instance) => Promise<Buffer | undefined>,
  { lineBytesMax, textBytesMax }: MetadataLimits,
): AsyncGenerator<Buffer> {
  const short = instances.map((instance) => identifiersOnly(studyUid, instance))
  // Room for every instance's identifiers is kept from the start.
  const shortBytes = short.reduce((sum, line) => sum + line.length + BETWEEN.length, 0)
  let roomBytes = textBytesMax - OPENING.length - shortBytes - CLOSING.length
  yield OPENING
  for (const [at, instance] of instances.entries()) {
    const json = await describe(instance)
    if (json && !isOneLine(json))
      throw new RangeError(`the JSON of ${instance.sopInstanceUid} is no object in one line`)
    const fits = json !== undefined && json.length <= Math.min(lineBytesMax, roomBytes)
    if (fits) roomBytes -= json.length
    if (at > 0) yield BETWEEN
    yield fits ? json : (short[at] as Buffer)
  }
  yield CLOSING
}

const isOneLine = (json: Buffer): boolean => json[0] === 0x7b && json.at(-1) === 0x7d && !json.includes(NEWLINE)

/** The same in larger chunks: each one is a journey to another thread. */
async function* gathered(texts: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let held: Buffer[] = []
  let heldBytes = 0
  for await (const text of texts) {
    held.push(text)
    heldBytes += text.length
    if (heldBytes < CHUNK_BYTES) continue
    yield Buffer.concat(held)
    held = []
    heldBytes = 0
  }
  if (heldBytes > 0) yield Buffer.concat(held)
}

/** What is said of an instance that can't be described: who it is. */
function identifiersOnly(studyUid: string, { sopClassUid, sopInstanceUid, seriesUid }: PackInstance): Buffer {
  const ui = (value: string) => ({ vr: 'UI', Value: [value] })
  const json = {
    '00080016': ui(sopClassUid),
    '00080018': ui(sopInstanceUid),
    '0020000D': ui(studyUid),
    '0020000E': ui(seriesUid),
  }
  return Buffer.from(JSON.stringify(json))
}

async function* withOwnHeader(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let first = true
  for await (const chunk of chunks) {
    // zlib writes its header with the first output, which is longer.
    if (first) GZIP_HEADER.copy(chunk)
    first = false
    yield chunk
  }
}

/** What came out of a (de)compressor, its errors and those of its input included. */
async function* through(
  input: AsyncIterable<Buffer>,
  transform: ReturnType<typeof createGzip>,
): AsyncGenerator<Buffer> {
  const from = Readable.from(input, { objectMode: false })
  from.on('error', (error) => transform.destroy(error))
  try {
    yield* from.pipe(transform) as AsyncIterable<Buffer>
  } finally {
    from.destroy()
    transform.destroy()
  }
}

/** Gathers the file in memory, with what a plan must know of it. Throws ArchiveError `too_large` beyond `bytesMax`. */
export async function heldMetadata(
  chunks: AsyncIterable<Buffer>,
  bytesMax = 64 * 1024 * 1024,
): Promise<MetadataMember & { bytes: Buffer }> {
  const held: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of chunks) {
    sizeBytes += chunk.length
    if (sizeBytes > bytesMax) throw new ArchiveError('too_large', 'the metadata of the pack is too long for memory')
    held.push(chunk)
  }
  const bytes = Buffer.concat(held)
  return { sizeBytes, sha256: createHash('sha256').update(bytes).digest('hex'), bytes }
}

/**
 * The DICOM JSON of each instance, in the order of the index. Memory holds one line at a time, so a bomb costs no more
 * than that. Throws ArchiveError `storage_failed` as soon as the file proves to be damaged; what came before is only
 * trustworthy when the end is reached.
 */
export async function* readMetadata(
  read: ReadRange,
  { metadata, instances }: Pick<PackIndex, 'metadata' | 'instances'>,
  limits = LIMITS,
): AsyncGenerator<Buffer> {
  const { offset, sizeBytes, sha256 } = metadata
  const hash = createHash('sha256')
  const hashed = async function* () {
    for await (const chunk of read(offset, offset + sizeBytes)) {
      hash.update(chunk)
      yield chunk
    }
  }
  yield* unpackMetadata(hashed(), instances.length, limits)
  if (hash.digest('hex') !== sha256) throw damaged('its SHA-256 is another')
}

/** The same of a metadata.json.gz by itself, so that a site can check what the other one has made. */
export async function* unpackMetadata(
  compressed: AsyncIterable<Buffer>,
  instances: number,
  limits = LIMITS,
): AsyncGenerator<Buffer> {
  let count = 0
  let state: 'opening' | 'objects' | 'closed' = 'opening'
  let more = true
  for await (const line of textLines(compressed, limits)) {
    if (state === 'opening' && line.equals(OPENING.subarray(0, -1))) {
      state = 'objects'
      continue
    }
    if (state === 'objects' && !more && line.equals(CLOSING.subarray(1, -1))) {
      state = 'closed'
      continue
    }
    if (state !== 'objects' || !more || count === instances) throw damaged('it has other lines than it should')
    more = line.at(-1) === BETWEEN[0]
    count += 1
    yield more ? line.subarray(0, -1) : line
  }
  if (state !== 'closed' || count !== instances)
    throw damaged(`it speaks of ${count} instances instead of ${instances}`)
}

/** Each line without its end. */
async function* textLines(compressed: AsyncIterable<Buffer>, limits: MetadataLimits): AsyncGenerator<Buffer> {
  let begun: Buffer[] = []
  let begunBytes = 0
  let textBytes = 0
  for await (const chunk of inflated(compressed)) {
    textBytes += chunk.length
    if (textBytes > limits.textBytesMax) throw damaged('it unpacks to more than it may')
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      yield Buffer.concat([...begun, chunk.subarray(start, end)])
      begun = []
      begunBytes = 0
      start = end + 1
    }
    if (start === chunk.length) continue
    begun.push(chunk.subarray(start))
    begunBytes += chunk.length - start
    if (begunBytes > limits.lineBytesMax + BETWEEN.length) throw damaged('it has a line that is too long')
  }
  if (begunBytes > 0) throw damaged('its last line has no end')
}

async function* inflated(compressed: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* through(compressed, createGunzip({ chunkSize: CHUNK_BYTES }))
  } catch (error) {
    // Anything else is the reader's: a store that fails is no damage.
    const { code, message } = error as NodeJS.ErrnoException
    throw code?.startsWith('Z_') ? damaged(message) : error
  }
}

const damaged = (reason: string) =>
  new ArchiveError('storage_failed', `metadata.json.gz of the pack is damaged: ${reason}`)
