import type { Mirrored } from './ports.ts'

/** Hands each chunk to the other site too, at the pace of the slower of the two. */
export async function* tee(body: AsyncIterable<Buffer>, mirrored: Mirrored): AsyncGenerator<Buffer> {
  for await (const chunk of body) {
    await mirrored.write(chunk)
    yield chunk
  }
}
