import assert from 'node:assert/strict'
import { type Instance, makeInstance } from './instances.ts'
import type { Random } from './random.ts'

const KEY_OBJECT_SELECTION = '1.2.840.10008.5.1.4.1.1.88.59'

/** A Key Object Selection document (PS3.3 A.35.4) with this title over instances of one study. */
export function rejectionNote(random: Random, code: string, rejected: readonly Instance[], scheme = 'DCM'): Instance {
  const [one] = rejected
  assert.ok(one)
  const series = [...new Set(rejected.map(({ seriesUid }) => seriesUid))].map((seriesUid) => ({
    '0020000E': ['UI', seriesUid] as const,
    '00081199': [
      'SQ',
      rejected
        .filter((instance) => instance.seriesUid === seriesUid)
        .map(({ sopClassUid, sopInstanceUid }) => ({
          '00081150': ['UI', sopClassUid] as const,
          '00081155': ['UI', sopInstanceUid] as const,
        })),
    ] as const,
  }))
  return makeInstance(random, {
    studyUid: one.studyUid,
    sopClassUid: KEY_OBJECT_SELECTION,
    modality: 'KO',
    rows: 0,
    attributes: {
      '0040A043': ['SQ', [{ '00080100': ['SH', code], '00080102': ['SH', scheme], '00080104': ['LO', 'title'] }]],
      '0040A375': ['SQ', [{ '0020000D': ['UI', one.studyUid], '00081115': ['SQ', series] }]],
    },
  })
}
