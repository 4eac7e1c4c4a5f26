import { HeadObjectCommand, type HeadObjectCommandOutput, S3Client } from '@aws-sdk/client-s3'
import type { ObjectStat } from '../contract/adapter.ts'
import { abortedError, StorageError, throwIfAborted } from '../contract/errors.ts'
import { isHttp, s3Error } from './errors.ts'
import type { S3Settings } from './options.ts'

/** Where the digest is kept with an object. */
export const SHA256_METADATA = 'firn-sha256'

export interface CallOptions {
  signal?: AbortSignal | undefined
  /** The call changes something if it arrives. */
  write?: boolean
  /** What errors say; the store's name is put before it. */
  what: string
}

/** Any command of the SDK, by what it answers. */
interface Command<Output> {
  resolveMiddleware(stack: never, config: never, options: never): (args: never) => Promise<{ output: Output }>
}

/** One bucket, spoken to in the contract's errors. */
export class Bucket {
  readonly settings: S3Settings
  readonly client: S3Client

  constructor(settings: S3Settings) {
    this.settings = settings
    this.client = makeClient(settings)
  }

  get id(): string {
    return this.settings.id
  }

  /** What every command about an object begins with. */
  at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.settings.bucket, Key: this.settings.prefix + key }
  }

  async send<Output>(command: Command<Output>, options: CallOptions): Promise<Output> {
    throwIfAborted(options.signal)
    try {
      return await this.sendRaw(command, options.signal)
    } catch (error) {
      if (options.signal?.aborted) throw abortedError(options.signal)
      throw s3Error(error, `${this.id}: ${options.what}`, { write: options.write ?? false })
    }
  }

  /** With the SDK's own errors, for probes that look at them. */
  sendRaw<Output>(command: Command<Output>, signal?: AbortSignal): Promise<Output> {
    return this.client.send(command as never, signal ? { abortSignal: signal } : {}) as Promise<Output>
  }

  /** Throws `not_found`. */
  head(key: string, signal?: AbortSignal, versionId?: string): Promise<HeadObjectCommandOutput> {
    const version = versionId === undefined ? {} : { VersionId: versionId }
    return this.send(new HeadObjectCommand({ ...this.at(key), ...version }), { signal, what: key })
  }

  async headIfThere(key: string, signal?: AbortSignal): Promise<HeadObjectCommandOutput | undefined> {
    throwIfAborted(signal)
    try {
      return await this.sendRaw(new HeadObjectCommand(this.at(key)), signal)
    } catch (error) {
      if (signal?.aborted) throw abortedError(signal)
      if (isHttp(error, 404)) return undefined
      throw s3Error(error, `${this.id}: ${key}`, { write: false })
    }
  }
}

/** The SDK repeats nothing (wrap/retry does), and throws when time is up instead of writing a line to the console. */
function makeClient(settings: S3Settings): S3Client {
  const { endpoint, region, forcePathStyle, checksums, connectTimeoutMs, requestTimeoutMs } = settings
  const checksum = checksums === 'when_supported' ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED'
  const credentials = credentialsOf(settings)
  // A request that waits for a socket would use up its time, so there are as many as are asked for.
  const agent = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY }
  return new S3Client({
    ...(endpoint !== undefined && { endpoint }),
    ...(credentials && { credentials }),
    region,
    forcePathStyle,
    requestChecksumCalculation: checksum,
    responseChecksumValidation: checksum,
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: connectTimeoutMs,
      requestTimeout: requestTimeoutMs,
      throwOnRequestTimeout: true,
      // The socket of a reader who takes his time is silent too; the body has its own watch.
      socketTimeout: 0,
      httpAgent: agent,
      httpsAgent: agent,
    },
  })
}

function credentialsOf({ id, credentials, env }: S3Settings) {
  if (credentials === undefined) return undefined
  const value = (variable: string): string => {
    const found = env[variable]
    if (found === undefined || found === '') throw new StorageError('misconfigured', `${id}: ${variable} isn't set`)
    return found
  }
  const { accessKeyIdVariable, secretAccessKeyVariable, sessionTokenVariable } = credentials
  return {
    accessKeyId: value(accessKeyIdVariable),
    secretAccessKey: value(secretAccessKeyVariable),
    ...(sessionTokenVariable !== undefined && { sessionToken: value(sessionTokenVariable) }),
  }
}

type AnyCommand = { middlewareStack: { add(middleware: never, options: never): void } }
type Next = (args: { request: { headers: Record<string, string> } }) => Promise<{ response: { headers: Headers } }>
type Headers = Record<string, string | undefined>

/** Has the store compare the body with its SHA-256, also where it ignores `x-amz-checksum-sha256` as Ceph does. */
export function announcingSha256<C extends AnyCommand>(command: C, sha256: string): C {
  const middleware = (next: Next): Next => {
    return (args) => {
      args.request.headers['x-amz-content-sha256'] = sha256
      return next(args)
    }
  }
  command.middlewareStack.add(middleware as never, { step: 'build', name: 'announceSha256' } as never)
  return command
}

/** Shows the headers of the answer, where the SDK leaves some out. */
export function watchingHeaders<C extends AnyCommand>(command: C, see: (headers: Headers) => void): C {
  const middleware = (next: Next): Next => {
    return async (args) => {
      const result = await next(args)
      see(result.response.headers)
      return result
    }
  }
  command.middlewareStack.add(
    middleware as never,
    { step: 'deserialize', priority: 'low', name: 'watchHeaders' } as never,
  )
  return command
}

export function statOf(
  key: string,
  sizeBytes: number,
  answer: Pick<HeadObjectCommandOutput, 'Metadata' | 'LastModified' | 'VersionId'>,
): ObjectStat {
  const sha256 = answer.Metadata?.[SHA256_METADATA]
  return {
    key,
    sizeBytes,
    ...(sha256 !== undefined && { sha256 }),
    ...(answer.LastModified && { modifiedAt: answer.LastModified }),
    ...(answer.VersionId !== undefined && { version: answer.VersionId }),
  }
}
