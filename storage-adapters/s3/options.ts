import { StorageError } from '../contract/errors.ts'

const MIB = 1024 * 1024
/** S3's own bounds: an object of 5 TiB in at most 10,000 parts, of which none but the last is under 5 MiB. */
export const OBJECT_BYTES_MAX = 5 * 1024 * 1024 * MIB
export const PARTS_MAX = 10_000
const PART_BYTES_MIN = 5 * MIB
/** Stores keep whole seconds, and the probe needs time in which the lock must hold. */
const CANARY_LOCK_MS_MIN = 3_000

export interface S3Options {
  id: string
  bucket: string
  /** All objects are below it; ends in a slash. Default none. */
  prefix?: string
  /** `https://s3.example.org`; none for AWS. */
  endpoint?: string
  /** Default `us-east-1`, which other makers' stores accept. */
  region?: string
  /** `https://host/bucket` instead of `https://bucket.host`. Default true where an endpoint is given. */
  forcePathStyle?: boolean
  /**
   * CRC checksums, which other stores than AWS's may refuse and which AWS demands for buckets with a default retention. The
   * digest is sent in any case. Default `when_supported` without an endpoint, else `when_required`.
   */
  checksums?: 'when_required' | 'when_supported'
  /**
   * Names of the environment variables that hold the keys, so that several stores can have several. Without them the SDK's
   * own chain is asked: `AWS_ACCESS_KEY_ID`, shared files, the instance's role.
   */
  credentials?: { accessKeyIdVariable: string; secretAccessKeyVariable: string; sessionTokenVariable?: string }
  /** The mode of locks, for a bucket that was made with object lock. Default `none`. */
  objectLock?: 'none' | 'governance' | 'compliance'
  /** Nothing is written, nor probed by writing: for a store that is full or that one may only read, to be evacuated. */
  readOnly?: boolean
  /** Larger objects go up in parts of this size, or of as much more as keeps them under 10,000. Default 16 MiB. */
  partBytes?: number
  /** Parts of one object that are sent side by side. Each is in memory, and one more. Default 3. */
  partsInFlight?: number
  /** Default 32. */
  requestsMax?: number
  connectTimeoutMs?: number
  /** From the start of a request to the answer's first byte: a part must fit in. Default 60 s. */
  requestTimeoutMs?: number
  /** How long a body may be silent while it is waited for. Default 30 s. */
  idleTimeoutMs?: number
  /** Uploads in parts that were given up so long ago are removed at `open()`. Default a day. */
  staleUploadMs?: number
  /** How long the object is locked on which locks are probed. Default 5 minutes. */
  canaryLockMs?: number
  /** What was bought, for a store that tells what is used but has no quota for the bucket (Ceph). */
  bytesTotal?: number
  env?: Readonly<Record<string, string | undefined>>
}

export type S3Settings = Required<Omit<S3Options, 'endpoint' | 'credentials' | 'bytesTotal'>> &
  Pick<S3Options, 'endpoint' | 'credentials' | 'bytesTotal'>

/** Throws `misconfigured`. */
export function settingsOf(options: S3Options): S3Settings {
  const settings: S3Settings = {
    prefix: '',
    region: 'us-east-1',
    forcePathStyle: options.endpoint !== undefined,
    checksums: options.endpoint === undefined ? 'when_supported' : 'when_required',
    objectLock: 'none',
    readOnly: false,
    partBytes: 16 * MIB,
    partsInFlight: 3,
    requestsMax: 32,
    connectTimeoutMs: 5_000,
    requestTimeoutMs: 60_000,
    idleTimeoutMs: 30_000,
    staleUploadMs: 24 * 60 * 60 * 1000,
    canaryLockMs: 5 * 60 * 1000,
    env: process.env,
    ...options,
  }
  if (settings.partBytes < PART_BYTES_MIN) throw misconfigured(options, 'a part must have 5 MiB or more')
  if (settings.canaryLockMs < CANARY_LOCK_MS_MIN)
    throw misconfigured(options, 'a canary must be locked for 3 s or more')
  if (settings.prefix !== '' && !settings.prefix.endsWith('/')) throw misconfigured(options, 'the prefix must end in /')
  return settings
}

function misconfigured({ id }: S3Options, what: string): StorageError {
  return new StorageError('misconfigured', `${id}: ${what}`)
}

/** The size of the parts that an object is sent in. */
export function partBytesFor(sizeBytes: number, partBytes: number): number {
  return Math.max(partBytes, Math.ceil(sizeBytes / PARTS_MAX))
}
