// `npm test`: every *.test.ts of the project through node's own runner. Arguments narrow it to paths that contain one of
// them; those that start with a dash go to the runner. FIRN_NO_SKIP=1 forbids skipped tests and files without tests;
// FIRN_TEST_SUITES names path prefixes of which each must have run a test; FIRN_TEST_RESULTS names a file for counts.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { root, run } from './run.mjs'

const folders = ['service', 'storage-adapters', 'replication', 'retention', 'bench', 'test']

function testFiles(filters) {
  const files = []
  const walk = (folder) => {
    for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
      const name = `${folder}/${entry.name}`
      if (entry.isDirectory()) walk(name)
      else if (name.endsWith('.test.ts')) files.push(name)
    }
  }
  for (const folder of folders) if (existsSync(path.join(root, folder))) walk(folder)
  return files.filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter))).sort()
}

/** @returns the exit status */
export async function runTests(args) {
  const options = args.filter((arg) => arg.startsWith('-'))
  const filters = args.filter((arg) => !arg.startsWith('-')).map((arg) => arg.replace(/^\.\//, ''))
  const files = testFiles(filters)
  if (files.length === 0) {
    console.error(filters.length ? `firn: no test file's path contains ${filters.join(' or ')}` : 'firn: no test files')
    return 1
  }
  const scratch = mkdtempSync(path.join(tmpdir(), 'firn-tests-'))
  const results = path.join(scratch, 'results.json')
  try {
    const code = await run([
      ...['--import', 'tsx', '--test', '--test-concurrency=2'],
      ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
      ...['--test-reporter=./scripts/test-counts.mjs', `--test-reporter-destination=${results}`],
      ...options,
      ...files,
    ])
    const counts = existsSync(results) ? JSON.parse(readFileSync(results, 'utf8') || '{}') : {}
    if (process.env.FIRN_TEST_RESULTS) writeFileSync(process.env.FIRN_TEST_RESULTS, JSON.stringify(counts))
    const complaints = complain(counts, files)
    for (const complaint of complaints) console.error(`firn: ${complaint}`)
    return code === 0 && complaints.length > 0 ? 1 : code
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** What makes a run that node's runner calls successful a failure all the same. */
function complain(counts, files) {
  const complaints = []
  const ran = new Map(Object.entries(counts.files ?? {}))
  for (const suite of (process.env.FIRN_TEST_SUITES ?? '').split(/\s+/).filter(Boolean)) {
    const tests = [...ran].filter(([file]) => file.startsWith(suite)).reduce((sum, [, count]) => sum + count, 0)
    if (tests === 0) complaints.push(`the suite ${suite} ran no test`)
  }
  if (process.env.FIRN_NO_SKIP !== '1') return complaints
  for (const name of counts.skippedNames ?? []) complaints.push(`skipped, though FIRN_NO_SKIP=1: ${name}`)
  for (const file of files) if (!ran.get(file)) complaints.push(`${file} ran no test, though FIRN_NO_SKIP=1`)
  return complaints
}
