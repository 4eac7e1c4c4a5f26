/** What docs/event-log.md tells a stranger, done as a stranger would: with its text and Python, not with Firn. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { makeLog, segmentsIn } from '../../test/property/events.ts'
import { installed, run, skipUnless, tempDir } from '../../test/support/host.ts'
import { verifyLog } from './verify.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/event-log.md'), 'utf8')
const blocks = (language: string): string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs'))].map(([, text]) => text as string)

function example(): string {
  const folder = tempDir('events')
  const [first = '', third = ''] = blocks('jsonl')
  writeFileSync(join(folder, '0000000001.jsonl'), first)
  writeFileSync(join(folder, '0000000003.jsonl'), third)
  return folder
}

describe('a stranger with the event log', () => {
  test('finds the example of the document intact', async () => {
    const { intact, chains } = await verifyLog(example())
    assert.ok(intact)
    assert.ok(page.includes(`intact: 3 events, head 3:${chains[0]?.head.hash}`))
  })

  test('comes to the same answers with the Python of the document', {
    skip: skipUnless(installed('python3'), 'python3 is not installed'),
  }, async () => {
    const folder = tempDir('events')
    const script = join(folder, 'verify.py')
    writeFileSync(script, blocks('python')[0] as string)
    assert.match((await run('python3', [script, example()])).stdout, /^intact: 3 events, head 3:/)
    await makeLog(folder, 8)
    const path = join(folder, segmentsIn(folder)[1] as string)
    const text = readFileSync(path, 'utf8')
    const lines = text.split('\n')
    const damaged = [
      text.replace('"sizeBytes":5', '"sizeBytes":6'),
      text.replace('"hash":"', '"hash" :"'),
      text.slice(0, -1),
      [lines[0], ...lines.slice(2)].join('\n'),
      [lines[1], lines[0], ...lines.slice(2)].join('\n'),
      [lines[0], ...lines].join('\n'),
      'x\n',
    ]
    for (const [index, content] of [text, ...damaged].entries()) {
      writeFileSync(path, content)
      const { intact, chains } = await verifyLog(folder)
      const { code, stdout } = await run('python3', [script, folder])
      assert.deepEqual([intact, code], index === 0 ? [true, 0] : [false, 1], content)
      if (intact) assert.ok(stdout.includes(`head 8:${chains[0]?.head.hash}`))
    }
  })
})
