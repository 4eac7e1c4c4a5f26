import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { Firn, RESIDENT_BYTES_MAX } from '../support/firn.ts'
import { removeDir, tempDir } from '../support/host.ts'
import { makeInstance } from '../support/instances.ts'
import { stowType } from '../support/multipart.ts'
import type { Random } from '../support/random.ts'
import { instancePath, stowRaw } from '../support/web.ts'

const FRAGMENT_BYTES = 1 << 20

export interface HugeSummary {
  sizeBytes: number
  sendSeconds: number
  readSeconds: number
  residentPeakBytes: number
}

/**
 * One encapsulated instance of about `mib` MiB, in fragments of 1 MiB, sent as one streamed part and read back; both
 * ways are compared by digest. Neither side ever holds it in memory.
 */
export async function huge(random: Random, mib: number): Promise<HugeSummary> {
  const dataDir = tempDir('huge')
  const firn = await Firn.start({ dataDir })
  try {
    const instance = makeInstance(random, { transferSyntax: 'mpeg4', rows: 0 })
    const sent = createHash('sha256')
    const startedAt = performance.now()
    const answer = await stowRaw(
      firn.dicomWeb,
      streamOf(framed(fileChunks(instance.file, mib, sent))),
      stowType('huge'),
    )
    assert.equal(answer.status, 200, answer.bytes.toString())
    const sentAt = performance.now()
    const path = firn.dicomWeb + instancePath(instance)
    const response = await fetch(path, { headers: { accept: 'application/dicom; transfer-syntax=*' } })
    assert.equal(response.status, 200)
    const received = createHash('sha256')
    let sizeBytes = 0
    for await (const chunk of response.body ?? []) {
      received.update(chunk)
      sizeBytes += chunk.length
    }
    assert.equal(received.digest('hex'), sent.digest('hex'))
    const residentPeakBytes = firn.residentPeakBytes()
    assert.ok(residentPeakBytes < RESIDENT_BYTES_MAX, `${residentPeakBytes >> 20} MiB resident`)
    assert.equal((await firn.stop()).code, 0)
    const seconds = (ms: number) => Math.round(ms / 100) / 10
    return {
      sizeBytes,
      sendSeconds: seconds(sentAt - startedAt),
      readSeconds: seconds(performance.now() - sentAt),
      residentPeakBytes,
    }
  } finally {
    await firn.kill()
    removeDir(dataDir)
  }
}

function* fileChunks(header: Buffer, mib: number, hash: ReturnType<typeof createHash>): Generator<Buffer> {
  const noise = randomBytes(FRAGMENT_BYTES)
  const count = (chunk: Buffer) => {
    hash.update(chunk)
    return chunk
  }
  yield count(header)
  // (7FE0,0010) OB of undefined length, an empty offset table.
  yield count(Buffer.from('e07f10004f420000fffffffffeff00e000000000', 'hex'))
  for (let n = 0; n < mib; n++) {
    const item = Buffer.from('feff00e000000000', 'hex')
    item.writeUInt32LE(FRAGMENT_BYTES, 4)
    yield count(item)
    // Each fragment differs, so that a misplaced one changes the digest.
    noise.writeUInt32LE(n)
    yield count(Buffer.from(noise))
  }
  yield count(Buffer.from('feffdde000000000', 'hex'))
}

function* framed(chunks: Generator<Buffer>): Generator<Buffer> {
  yield Buffer.from('--huge\r\nContent-Type: application/dicom\r\n\r\n')
  yield* chunks
  yield Buffer.from('\r\n--huge--\r\n')
}

function streamOf(chunks: Generator<Buffer>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const next = chunks.next()
      if (next.done) controller.close()
      else controller.enqueue(next.value)
    },
  })
}
