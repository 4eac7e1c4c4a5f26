// A reporter for node's test runner: counts as JSON, with the tests that each file ran and the names of the skipped.
import path from 'node:path'
import { root } from './run.mjs'

export default async function* countTests(events) {
  const counts = { passed: 0, failed: 0, skipped: 0, skippedNames: [], files: {} }
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    if (data.details?.type === 'suite' && type === 'test:pass') continue
    const file = data.file && path.relative(root, data.file)
    // The runner reports a file without tests, or one that crashed, as a test with the file's name.
    const isFile = data.nesting === 0 && file !== undefined && path.resolve(root, data.name) === data.file
    if (data.skip !== undefined || data.todo !== undefined) {
      counts.skipped++
      counts.skippedNames.push(`${file}: ${data.name}`)
    } else if (type === 'test:fail') counts.failed++
    else if (!isFile) counts.passed++
    if (file && !isFile && data.skip === undefined) counts.files[file] = (counts.files[file] ?? 0) + 1
  }
  yield JSON.stringify(counts)
}
