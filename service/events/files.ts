import { mkdir, readdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { syncFolder } from '../sync-folder.ts'

/** A segment is named by the number of its first event, so that an event is found without reading the log. */
const SEGMENT_NAME = /^(\d{10,16})\.jsonl$/
const PEER_FOLDER = /^from-([A-Za-z0-9][\w-]{0,63})$/
const TORN_NAME = /^\d{10,16}\.jsonl\.\d+\.[0-9a-f]{8}\.torn$/

export const segmentName = (firstSeq: number): string => `${String(firstSeq).padStart(10, '0')}.jsonl`

export const segmentPath = (folder: string, firstSeq: number): string => join(folder, segmentName(firstSeq))

/** Where the events of another site are kept, as they came. Throws RangeError for what can't be a site's name. */
export function peerFolder(folder: string, site: string): string {
  const name = `from-${site}`
  if (!PEER_FOLDER.test(name)) throw new RangeError(`${JSON.stringify(site)} is no site's name`)
  return join(folder, name)
}

/** Makes a log's folder if need be; its name is durable afterwards. Its parent must exist. */
export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { mode: 0o750 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await syncFolder(dirname(resolve(folder)))
}

export interface LogFiles {
  /** Numbers of the segments' first events, ascending. */
  segments: number[]
  /** What crashes left, set aside. */
  torn: string[]
  /** Sites whose events are kept here too. */
  peers: string[]
}

export async function listFiles(folder: string): Promise<LogFiles> {
  const names = (await readdir(folder)).sort()
  const matches = (pattern: RegExp) => names.map((name) => pattern.exec(name)?.[1]).filter((one) => one !== undefined)
  return {
    segments: matches(SEGMENT_NAME)
      .map(Number)
      .sort((a, b) => a - b),
    torn: names.filter((name) => TORN_NAME.test(name)),
    peers: matches(PEER_FOLDER),
  }
}

/** A segment into which nothing was written yet is none: its name is used by whatever comes next. */
export async function dropEmptyEnd(folder: string, segments: readonly number[]): Promise<number[]> {
  const last = segments.at(-1)
  if (last === undefined) return []
  const { size } = await stat(segmentPath(folder, last))
  return size === 0 ? segments.slice(0, -1) : [...segments]
}
