import type { MemberNote } from '../landing/tar.ts'

/**
 * A pack keeps instances of one study in one write-once tar, made of its content alone: whoever holds the same instances
 * and the same decisions makes the same bytes, so one digest proves that two sites agree. docs/storage-format.md
 * specifies it.
 */

/** One instance as the proposer of a pack lists it. An `InstanceRecord` of the catalogue is one. */
export interface PackInstance {
  seriesUid: string
  sopInstanceUid: string
  sopClassUid: string
  transferSyntaxUid: string
  /** Of the whole Part 10 file: 64 hexadecimal digits in lower case. */
  sha256: string
  sizeBytes: number
  /** Where the data set starts in the file. */
  dataSetOffset: number
  instanceNumber: number | null
  numberOfFrames: number | null
  source: MemberNote['source']
  /** ISO 8601 in UTC with milliseconds, as `Date.toISOString` writes it. */
  receivedAt: string
}

/** One instance in its place. */
export interface PackedInstance extends PackInstance {
  /** Of the tar member. */
  name: string
  /** Of the file's first byte in the pack: the instance is the bytes from `offset` to `offset + sizeBytes`. */
  offset: number
}

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

/** The member metadata.json.gz, which is made before the pack is planned: see metadata.ts. */
export interface MetadataMember {
  sizeBytes: number
  sha256: string
}

/** All that the bytes of a pack depend on, apart from those of its instances. */
export interface PackContent {
  studyUid: string
  /** The volume that the study belongs to. */
  volume: string
  /** What retention had decided when the pack was sealed; kept as it is, with keys in alphabetical order. */
  retention: Json
  /** In any order. */
  instances: readonly PackInstance[]
  metadata: MetadataMember
}

/** What a pack says of itself. */
export interface PackIndex extends PackContent {
  /** In the order of the pack. */
  instances: readonly PackedInstance[]
  metadata: MetadataMember & { offset: number }
  /** Of the whole pack. */
  sizeBytes: number
}

export const FORMAT_VERSION = 1

export const INDEX_NAME = 'firn-pack.json'
export const MANIFEST_NAME = 'manifest-sha256.txt'
export const METADATA_NAME = 'metadata.json.gz'

/** Keeps the index at some 6 MB: it is made and parsed in one go, for which everybody else waits 0.1 to 0.2 s. */
export const PACK_INSTANCES_MAX = 10_000
/**
 * A pack is what is sent, re-read, repaired and tried again as a whole: at 100 MB/s this takes three minutes. Only an
 * instance that is larger by itself makes a larger pack.
 */
export const PACK_BYTES_MAX = 16 * 1024 ** 3
/** 3 KB for each of so many instances, which have 600 bytes: a longer index is none. */
export const INDEX_BYTES_MAX = 32 * 1024 * 1024
/** The same for the manifest, whose lines have at most 217 bytes. */
export const MANIFEST_BYTES_MAX = 4 * 1024 * 1024

/** The bytes from `start` to `end` (exclusive) of a pack; a range beyond its end is an error, never a short read. */
export type ReadRange = (start: number, end: number) => AsyncIterable<Buffer>
