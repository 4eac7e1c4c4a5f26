/** The raw limit: what this machine's disk and SHA-256 allow without any protocol or catalogue. */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import path from 'node:path'
import type { DicomSource } from '../test/fixtures/dicom.ts'

interface Counted {
  bytes: number
  count: number
  latenciesMs: number[]
  matches: number
}

/** SHA-256, write and fdatasync of every instance, a file each, so many side by side. */
export async function rawEach(contents: readonly Buffer[], folder: string, concurrency: number): Promise<Counted> {
  let next = 0
  let bytes = 0
  const latenciesMs: number[] = []
  const hand = async () => {
    while (next < contents.length) {
      const index = next++
      const content = contents[index] as Buffer
      const started = performance.now()
      createHash('sha256').update(content).digest()
      await withFile(path.join(folder, `${concurrency}-${index}`), async (file) => {
        await file.write(content)
        await file.datasync()
      })
      latenciesMs.push(performance.now() - started)
      bytes += content.length
    }
  }
  await Promise.all(Array.from({ length: concurrency }, hand))
  return { bytes, count: contents.length, latenciesMs, matches: 0 }
}

/** One huge instance: hashed and written chunk by chunk, synced at its end. */
export async function rawStream(source: DicomSource, folder: string): Promise<Counted> {
  const hash = createHash('sha256')
  await withFile(path.join(folder, 'huge'), async (file) => {
    for await (const chunk of source.chunks()) {
      hash.update(chunk)
      await file.write(chunk)
    }
    await file.datasync()
  })
  hash.digest()
  return { bytes: source.sizeBytes, count: 1, latenciesMs: [], matches: 0 }
}

async function withFile(name: string, act: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(name, 'w')
  try {
    await act(file)
  } finally {
    await file.close()
  }
}
