/** The blocks of POSIX tar archives (IEEE 1003.1-2017, pax "Extended Interchange Format") that landing and packs are made of. */
export const BLOCK = 512

/** Two zero blocks end an archive. */
export const END_OF_ARCHIVE = Buffer.alloc(2 * BLOCK)

/** ustar keeps sizes in eleven octal digits; beyond that the pax `size` record counts. */
export const USTAR_SIZE_MAX = 0o77777777777

/** Of the ustar field `name`; what stands before the last slash of a longer name goes into `prefix`. */
const NAME_BYTES = 100
const PREFIX_OFFSET = 345
const PREFIX_BYTES = 155

/** One header block. */
export interface Ustar {
  /** ASCII; at most 100 characters behind its last slash, and 155 before it. */
  name: string
  /** Of the data behind the header, as the field holds it: at most USTAR_SIZE_MAX. */
  size: number
  /** `0`: a regular file. `x`: pax records for the header that follows. `g`: pax records for all that follow. */
  type: '0' | 'x' | 'g'
  /** Seconds since 1970. */
  mtime: number
}

/** Zeros behind a member's data, up to the next block. */
export function paddingBytes(sizeBytes: number): number {
  return (BLOCK - (sizeBytes % BLOCK)) % BLOCK
}

/** `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record. For keys and values in ASCII. */
export function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.from(length + rest)
}

/** Fills a block of zeros. Owner and mode are the same for all that Firn writes: anybody may read, nobody should write. */
export function writeUstar(block: Buffer, { name, size, type, mtime }: Ustar): void {
  const slash = name.length > NAME_BYTES ? name.lastIndexOf('/') : -1
  block.write(slash < 0 ? name : name.slice(slash + 1), 0, NAME_BYTES, 'latin1')
  block.write(slash < 0 ? '' : name.slice(0, slash), PREFIX_OFFSET, PREFIX_BYTES, 'latin1')
  block.write('0000444\0', 100, 'latin1')
  block.write('0000000\0', 108, 'latin1')
  block.write('0000000\0', 116, 'latin1')
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1')
  block.write(`${mtime.toString(8).padStart(11, '0')}\0`, 136, 'latin1')
  block.write('        ', 148, 'latin1')
  block.write(type, 156, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  block.write('firn', 265, 'latin1')
  block.write('firn', 297, 'latin1')
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
}

/** Undefined when the block is no intact header of a type that Firn writes. */
export function readUstar(block: Buffer): Ustar | undefined {
  if (!isIntact(block)) return undefined
  const type = String.fromCharCode(block[156] as number)
  const prefix = textAt(block, PREFIX_OFFSET, PREFIX_BYTES)
  const name = textAt(block, 0, NAME_BYTES)
  if (type !== '0' && type !== 'x' && type !== 'g') return undefined
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    size: Number.parseInt(textAt(block, 124, 12), 8),
    type,
    mtime: Number.parseInt(textAt(block, 136, 12), 8),
  }
}

function isIntact(block: Buffer): boolean {
  if (textAt(block, 257, 5) !== 'ustar') return false
  return Number.parseInt(textAt(block, 148, 8), 8) === checksum(block)
}

/** POSIX: the sum of all bytes, those of the checksum itself counted as blanks. */
function checksum(block: Buffer): number {
  let sum = 8 * 0x20
  for (let at = 0; at < BLOCK; at++) if (at < 148 || at >= 156) sum += block[at] as number
  return sum
}

function textAt(block: Buffer, offset: number, length: number): string {
  const end = block.indexOf(0, offset)
  return block.toString('latin1', offset, end < 0 || end > offset + length ? offset + length : end)
}
