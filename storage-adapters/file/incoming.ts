import { createHash, randomUUID } from 'node:crypto'
import { type FileHandle, lstat, open, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { StorageError } from '../contract/errors.ts'
import { readSource } from '../contract/read-source.ts'
import type { Source } from '../contract/source.ts'
import { READ_BYTES, readFully } from './file-body.ts'

const WRITE_BYTES = 1024 * 1024
const WRITE_CHUNKS_MAX = 1000
/** Read-only even for their owner, against accidents. */
const OBJECT_MODE = 0o440

/** Names under which objects are written before they get their own. */
export function newIncoming(folder: string): string {
  return join(folder, `${randomUUID()}.partial`)
}

/**
 * Writes and syncs a source into a new file. Throws without leaving it behind when the source isn't what it promises, and
 * when the file system fails.
 */
export async function writeIncoming(
  path: string,
  source: Source,
  signal: AbortSignal | undefined,
  beforeSync: () => void,
): Promise<void> {
  const file = await open(path, 'wx', OBJECT_MODE)
  try {
    const writtenBytes = await writeAll(file, readSource(source, signal))
    beforeSync()
    await file.sync()
    const { size } = await file.stat()
    if (writtenBytes !== source.sizeBytes || size !== source.sizeBytes) {
      throw new StorageError('integrity_mismatch', `${path} has ${size} instead of ${source.sizeBytes} bytes`)
    }
  } catch (error) {
    await file.close().catch(() => undefined)
    await unlink(path).catch(() => undefined)
    throw error
  }
  await file.close()
}

/** Gathers small chunks, and writes while the next ones come. */
async function writeAll(file: FileHandle, chunks: AsyncIterable<Buffer>): Promise<number> {
  let [position, gatheredBytes] = [0, 0]
  let gathered: Buffer[] = []
  let writing = Promise.resolve()
  const flush = async () => {
    await writing
    writing = writeBuffers(file, gathered, position)
    // It may fail while the source is waited for; whoever awaits it next meets that.
    writing.catch(() => undefined)
    position += gatheredBytes
    gathered = []
    gatheredBytes = 0
  }
  for await (const chunk of chunks) {
    gathered.push(chunk)
    gatheredBytes += chunk.length
    if (gatheredBytes >= WRITE_BYTES || gathered.length >= WRITE_CHUNKS_MAX) await flush()
  }
  await flush()
  await writing
  return position
}

async function writeBuffers(file: FileHandle, buffers: readonly Buffer[], position: number): Promise<void> {
  let rest = [...buffers]
  let at = position
  while (rest.length > 0) {
    const { bytesWritten } = await file.writev(rest, at)
    at += bytesWritten
    rest = dropBytes(rest, bytesWritten)
  }
}

function dropBytes(buffers: readonly Buffer[], count: number): Buffer[] {
  let skip = count
  let index = 0
  while (index < buffers.length && skip >= (buffers[index] as Buffer).length) {
    skip -= (buffers[index] as Buffer).length
    index += 1
  }
  const rest = buffers.slice(index)
  if (skip > 0) rest[0] = (rest[0] as Buffer).subarray(skip)
  return rest
}

/** SHA-256 of what a file really holds. */
export async function digestOf(file: FileHandle, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  for (let at = 0; ; ) {
    signal?.throwIfAborted()
    const bytesRead = await readFully(file, buffer, at)
    hash.update(buffer.subarray(0, bytesRead))
    at += bytesRead
    if (bytesRead < buffer.length) return hash.digest('hex')
  }
}

/** Removes what interrupted writes left. Younger files may belong to another process that is still writing. */
export async function cleanIncoming(folder: string, olderThan: Date): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const found = await lstat(path).catch(() => undefined)
    if (found?.isFile() && found.mtime < olderThan) await unlink(path).catch(() => undefined)
  }
}

/** Removes the name that a writer, killed after it had published, left beside the object's own: it would keep the bytes. */
export async function unlinkIncoming(folder: string, ino: number): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const found = await lstat(path).catch(() => undefined)
    if (found?.ino === ino) await unlink(path)
  }
}
