import assert from 'node:assert/strict'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { tempDir } from '../../test/support/host.ts'
import { isArchiveError } from '../errors.ts'
import { ReportFile } from './report-file.ts'

describe('a report file', () => {
  test('is read page by page, and goes on behind what a crash has torn', async () => {
    const report = new ReportFile(join(tempDir('report'), 'reports', 'one.jsonl'))
    await assert.rejects(report.page(0, 10), (error) => isArchiveError(error, 'not_found'))
    await report.begin()
    await report.append({ n: 1 }, { n: 2 })
    appendFileSync(report.path, '{"n":')
    await report.append({ n: 3, text: 'ü'.repeat(200_000) })
    await report.append({ n: 4 })
    const seen: unknown[] = []
    for (let after: number | null = 0; after !== null; ) {
      const { rows, next } = await report.page(after, 2)
      seen.push(...rows.map(({ n }) => n))
      after = next
    }
    assert.deepEqual(seen, [1, 2, 3, 4])
    assert.equal((await report.digest()).lines, 5)
    await report.begin()
    assert.deepEqual(await report.page(0, 10), { rows: [], next: null })
  })
})
