import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { ArchiveError } from '../errors.ts'
import { segmentPath } from './files.ts'
import { SegmentReader } from './reader.ts'

const at = { segment: 1, offset: 0 }

async function bytesOf(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of chunks) pieces.push(piece)
  return Buffer.concat(pieces)
}

it('a failed read takes the file away from nobody else, and leaves none open', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'firn-reader-'))
  const openFiles = (): number => readdirSync('/proc/self/fd').length
  try {
    const reader = new SegmentReader(folder)
    await assert.rejects(bytesOf(reader.read(at, 0, 10)), (error) => error instanceof ArchiveError)
    const content = Buffer.alloc(1_000_000, 'firn')
    writeFileSync(segmentPath(folder, 1), content)
    await bytesOf(reader.read(at, 0, 10))
    const before = openFiles()
    for (let round = 0; round < 20; round++) {
      const reads = Array.from({ length: 20 }, (_, n) =>
        n % 3 === 1 ? bytesOf(reader.read(at, 999_000, 1_000_001)) : bytesOf(reader.read(at, n, 900_000 + n)),
      )
      for (const [n, read] of (await Promise.allSettled(reads)).entries()) {
        if (n % 3 === 1) assert.equal(read.status, 'rejected')
        else assert.ok(read.status === 'fulfilled' && read.value.equals(content.subarray(n, 900_000 + n)), `read ${n}`)
      }
    }
    await reader.close()
    assert.ok(openFiles() <= before, `${openFiles()} open files, ${before} before`)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
