import { open, rename } from 'node:fs/promises'
import { syncFolder } from '../sync-folder.ts'
import { listFiles, segmentPath } from './files.ts'
import { linesOf } from './read.ts'

/**
 * Takes everything behind an event out of a log that nobody has open, into files beside it (`*.aside`) that are no part
 * of the log any more. Durable when it resolves; broken off, it goes on where it was when it is called again.
 */
export async function cutBehind(folder: string, lastSeq: number): Promise<void> {
  const { segments } = await listFiles(folder)
  const stamp = new Date().toISOString().replace(/[:.]/g, '-')
  // The last one first: what is left at any moment is a log that ends earlier.
  for (const first of [...segments].reverse()) {
    const path = segmentPath(folder, first)
    if (first > lastSeq) await rename(path, `${path}.${stamp}.aside`)
    else {
      await cutFile(path, first, lastSeq, `${path}.${stamp}.aside`)
      break
    }
  }
  await syncFolder(folder)
}

async function cutFile(path: string, first: number, lastSeq: number, aside: string): Promise<void> {
  let seq = first
  let end = 0
  let bytes = 0
  for await (const lines of linesOf(path)) {
    for (const line of lines) {
      bytes = line.offset + line.bytes.length + (line.whole ? 1 : 0)
      if (seq <= lastSeq) end = bytes
      seq += 1
    }
  }
  if (end === bytes) return
  const file = await open(path, 'r+')
  try {
    const tail = Buffer.alloc(bytes - end)
    await file.read(tail, 0, tail.length, end)
    const copy = await open(aside, 'w', 0o640)
    try {
      await copy.writeFile(tail)
      await copy.sync()
    } finally {
      await copy.close()
    }
    await file.truncate(end)
    await file.sync()
  } finally {
    await file.close()
  }
}
