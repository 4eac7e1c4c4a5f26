const SMALL_BYTES = 4096
const SLAB_BYTES = 64 * 1024

/**
 * The same bytes in chunks that are worth their bookkeeping: a sender that dribbles two bytes at a time would otherwise
 * cost a hundred times the memory that it sends. Large chunks pass as they are, without being copied.
 */
export async function* coalesced(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let slab = Buffer.alloc(0)
  let used = 0
  for await (const chunk of chunks) {
    if (chunk.length >= SMALL_BYTES) {
      if (used > 0) yield slab.subarray(0, used)
      used = 0
      slab = Buffer.alloc(0)
      yield chunk
      continue
    }
    if (used + chunk.length > slab.length) {
      if (used > 0) yield slab.subarray(0, used)
      slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
      used = 0
    }
    used += chunk.copy(slab, used)
  }
  if (used > 0) yield slab.subarray(0, used)
}
