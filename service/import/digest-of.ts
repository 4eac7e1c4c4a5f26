import { createHash } from 'node:crypto'

/** SHA-256 of a body, in 64 hexadecimal digits. */
export async function digestOf(body: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of body) hash.update(chunk)
  return hash.digest('hex')
}
