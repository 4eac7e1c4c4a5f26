import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Segment files are named by their number: `0000000042.tar`; `.partial` while a large instance streams into it. */
const SEGMENT_NAME = /^(\d{10})\.tar$/
export const PARTIAL = '.partial'

export function segmentPath(folder: string, segment: number): string {
  return join(folder, `${String(segment).padStart(10, '0')}.tar`)
}

/** What a permit calls a segment. */
export function segmentKey(segment: number): string {
  return segmentPath('landing', segment)
}

/** Numbers of the segments in the folder, ascending. */
export async function listSegments(folder: string): Promise<number[]> {
  const names = await readdir(folder)
  return names
    .map((name) => SEGMENT_NAME.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .sort((a, b) => a - b)
}
