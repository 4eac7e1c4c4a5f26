import { z } from 'zod'
import { isUid } from '../dicom/uids.ts'
import { ArchiveError } from '../errors.ts'
import {
  FORMAT_VERSION,
  type Json,
  METADATA_NAME,
  PACK_INSTANCES_MAX,
  type PackContent,
  type PackedInstance,
  type PackIndex,
} from './pack.ts'

/** Digits of the largest offset that JavaScript counts exactly. */
const OFFSET_CHARACTERS = 16

/** As much as the note in a segment has room for, and more. */
const SOURCE_CHARACTERS_MAX = 1024

const uid = z.string().refine(isUid, 'no UID')
const digest = z.string().regex(/^[0-9a-f]{64}$/, 'no SHA-256')
const size = z.int().min(0)
const number = z.int().nullable()
const time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'no time')
  .refine((text) => !Number.isNaN(Date.parse(text)), 'no time')
const member = z.object({ sizeBytes: size, sha256: digest })
const instance = z.object({
  seriesUid: uid,
  sopInstanceUid: uid,
  sopClassUid: uid,
  transferSyntaxUid: uid,
  sha256: digest,
  sizeBytes: size,
  dataSetOffset: size,
  instanceNumber: number,
  numberOfFrames: number,
  source: z.object({
    protocol: z.enum(['stow', 'dimse', 'import']),
    name: z.string().max(SOURCE_CHARACTERS_MAX),
    address: z.string().max(SOURCE_CHARACTERS_MAX),
  }),
  receivedAt: time,
})
/** Deeper values are refused: a list that another site proposed must not exhaust the stack. */
const JSON_DEPTH_MAX = 32

function isJson(value: unknown, depth = 0): value is Json {
  if (value === null || ['string', 'boolean'].includes(typeof value)) return true
  if (typeof value === 'number') return Number.isFinite(value)
  return (
    typeof value === 'object' && depth < JSON_DEPTH_MAX && Object.values(value).every((one) => isJson(one, depth + 1))
  )
}

const content = z.object({
  studyUid: uid,
  volume: z.string().min(1).max(256),
  retention: z.custom<Json>((value) => isJson(value), 'no JSON'),
  metadata: member,
  instances: z.array(instance).min(1).max(PACK_INSTANCES_MAX),
})
/** Keys that are not known are passed over: a later Firn may add some. */
const file = z.object({
  ...content.shape,
  metadata: member.extend({ offset: size }),
  instances: z
    .array(instance.extend({ name: z.string(), offset: size }))
    .min(1)
    .max(PACK_INSTANCES_MAX),
})

/** A list that another site may have proposed. Throws ArchiveError `invalid_request`. */
export function checkContent(given: PackContent): PackContent {
  const parsed = content.safeParse(given)
  if (!parsed.success) throw new ArchiveError('invalid_request', `no content of a pack: ${firstIssue(parsed.error)}`)
  return parsed.data
}

function firstIssue({ issues }: z.ZodError): string {
  const issue = issues[0]
  return issue ? `${issue.path.join('.')}: ${issue.message}` : 'unknown'
}

/**
 * The text of firn-pack.json. Offsets depend on its own length, so each of them has the same room, filled up with blanks
 * that mean nothing in JSON: the length is the same whatever the offsets are.
 */
export class IndexText {
  readonly sizeBytes: number
  /** Each piece but the last is followed by an offset. */
  readonly #pieces: string[]

  constructor({ studyUid, volume, retention, metadata, instances }: PackContent, names: readonly string[]) {
    const { sizeBytes, sha256 } = metadata
    const head = [
      `{"firnPack":${FORMAT_VERSION},`,
      `"studyUid":${JSON.stringify(studyUid)},`,
      `"volume":${JSON.stringify(volume)},`,
      `"retention":${canonical(retention)},`,
      `"metadata":${upToOffset({ name: METADATA_NAME, sizeBytes, sha256 })}`,
    ]
    const lines = instances.map((instance, at) => {
      const before = at === 0 ? '},\n"instances":[\n' : '},\n'
      return before + upToOffset(entry(names[at] as string, instance))
    })
    this.#pieces = [head.join('\n'), ...lines, '}\n]}\n']
    const textBytes = this.#pieces.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0)
    this.sizeBytes = textBytes + (this.#pieces.length - 1) * OFFSET_CHARACTERS
  }

  /** @param offsets of the metadata, then of each instance */
  bytes(offsets: readonly number[]): Buffer {
    const bytes = Buffer.alloc(this.sizeBytes)
    let at = 0
    for (const [i, piece] of this.#pieces.entries()) {
      at += bytes.write(piece, at)
      const offset = offsets[i]
      if (offset !== undefined) at += bytes.write(String(offset).padStart(OFFSET_CHARACTERS), at, 'latin1')
    }
    return bytes
  }
}

/** An object's text, but for its last value, the offset, and its end. */
const upToOffset = (value: object): string => `${JSON.stringify(value).slice(0, -1)},"offset":`

/** Keys in the order of the format, whatever order they were given in. */
function entry(name: string, instance: PackContent['instances'][number]): Omit<PackedInstance, 'offset'> {
  const { protocol, name: sender, address } = instance.source
  return {
    name,
    seriesUid: instance.seriesUid,
    sopInstanceUid: instance.sopInstanceUid,
    sopClassUid: instance.sopClassUid,
    transferSyntaxUid: instance.transferSyntaxUid,
    sha256: instance.sha256,
    sizeBytes: instance.sizeBytes,
    dataSetOffset: instance.dataSetOffset,
    instanceNumber: instance.instanceNumber,
    numberOfFrames: instance.numberOfFrames,
    source: { protocol, name: sender, address },
    receivedAt: instance.receivedAt,
  }
}

/** The one text of a value: keys in order, as objects of JavaScript can't keep all of them. */
function canonical(value: Json): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  const keys = Object.keys(value).sort()
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key] as Json)}`).join(',')}}`
}

/** What firn-pack.json says, its form checked. Throws ArchiveError `storage_failed`; `unsupported` for a later version. */
export function parseIndex(bytes: Buffer): Omit<PackIndex, 'sizeBytes'> {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    throw damaged((error as Error).message)
  }
  const version = (value as { firnPack?: unknown } | null)?.firnPack
  if (Number.isInteger(version) && (version as number) > FORMAT_VERSION) {
    throw new ArchiveError('unsupported', `the pack has version ${version}; this Firn knows ${FORMAT_VERSION}`)
  }
  if (version !== FORMAT_VERSION) throw damaged('it has no version')
  // Or a long list of nonsense would make as many complaints.
  const { instances } = value as { instances?: unknown }
  if (Array.isArray(instances) && instances.length > PACK_INSTANCES_MAX) throw damaged('it has too many instances')
  const parsed = file.safeParse(value)
  if (!parsed.success) throw damaged(firstIssue(parsed.error))
  return parsed.data
}

const damaged = (reason: string) => new ArchiveError('storage_failed', `the index of the pack is damaged: ${reason}`)
