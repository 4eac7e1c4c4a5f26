import { inflateRawSync } from 'node:zlib'

/** Members of a ZIP archive by name, read from its central directory; throws when it is damaged or uses ZIP64. */
export function unzip(bytes: Buffer): Map<string, Buffer> {
  const end = bytes.lastIndexOf(Buffer.from('504b0506', 'hex'))
  if (end < 0) throw new Error('no end of central directory')
  const members = new Map<string, Buffer>()
  let at = bytes.readUInt32LE(end + 16)
  for (let left = bytes.readUInt16LE(end + 10); left > 0; left--) {
    if (bytes.readUInt32LE(at) !== 0x02014b50) throw new Error('damaged central directory')
    const method = bytes.readUInt16LE(at + 10)
    const [packed, plain] = [bytes.readUInt32LE(at + 20), bytes.readUInt32LE(at + 24)]
    const nameLength = bytes.readUInt16LE(at + 28)
    const localAt = bytes.readUInt32LE(at + 42)
    const dataAt = localAt + 30 + bytes.readUInt16LE(localAt + 26) + bytes.readUInt16LE(localAt + 28)
    const data = bytes.subarray(dataAt, dataAt + packed)
    const value = method === 0 ? data : inflateRawSync(data)
    if (value.length !== plain) throw new Error('a member is not as long as it says')
    members.set(bytes.toString('utf8', at + 46, at + 46 + nameLength), value)
    at += 46 + nameLength + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32)
  }
  return members
}
