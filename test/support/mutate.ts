import type { Random } from './random.ts'

const LENGTHS = [0, 1, 2, 7, 8, 0x7f, 0xff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]

type Mutation = (bytes: Buffer, at: number, random: Random) => Buffer

function overwrite(bytes: Buffer, at: number, piece: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  piece.copy(copy, at)
  return copy
}

function lengthField(random: Random): Buffer {
  const field = Buffer.alloc(4)
  const value = random.pick(LENGTHS)
  if (random.below(2) === 0) field.writeUInt32LE(value)
  else field.writeUInt32BE(value)
  return field
}

const MUTATIONS: readonly Mutation[] = [
  (bytes, at, random) => overwrite(bytes, at, Buffer.from([(bytes[at] ?? 0) ^ (1 << random.below(8))])),
  (bytes, at, random) => overwrite(bytes, at, random.bytes(random.between(1, 8))),
  (bytes, at, random) => overwrite(bytes, at, lengthField(random)),
  (bytes, at, random) => overwrite(bytes, at, lengthField(random).subarray(0, 2)),
  (bytes, at) => bytes.subarray(0, at),
  (bytes, at) => bytes.subarray(at),
  (bytes, at, random) =>
    Buffer.concat([bytes.subarray(0, at), random.bytes(random.between(1, 16)), bytes.subarray(at)]),
  (bytes, at, random) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random.between(1, 64))]),
  (bytes, at, random) => {
    const piece = bytes.subarray(at, at + random.between(1, 200))
    return Buffer.concat([
      bytes.subarray(0, at),
      ...Array.from({ length: random.between(2, 20) }, () => piece),
      bytes.subarray(at),
    ])
  },
  (bytes, at, random) => {
    const from = random.below(Math.max(1, bytes.length))
    return overwrite(bytes, at, bytes.subarray(from, from + random.between(1, 64)))
  },
]

/**
 * One to four mutations: flipped bits, random bytes, lying lengths, cuts, insertions, repetitions. Half of them hit the
 * first 1,000 bytes, where headers are.
 */
export function mutate(bytes: Buffer, random: Random): Buffer {
  let mutated = bytes
  for (let n = random.between(1, 4); n > 0 && mutated.length > 0; n--) {
    const end = random.below(2) === 0 ? Math.min(mutated.length, 1_000) : mutated.length
    mutated = random.pick(MUTATIONS)(mutated, random.below(end), random)
  }
  return mutated
}
