import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import sqlite3 from 'sqlite3'
import { logFiles, logged } from '../support/audit.ts'
import { Firn, firnCommand } from '../support/firn.ts'
import { tempDir } from '../support/host.ts'
import { makeInstance } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { get, json, stow } from '../support/web.ts'

const random = new Random(newSeed())
const AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'

/** An administrator with all files and the database open, who would like something not to have happened. */
describe(`tampering with the audit trail (seed ${random.seed})`, () => {
  const dataDir = tempDir('data')
  const instance = makeInstance(random)
  /** Kept on paper. */
  let head: string

  before(async () => {
    const firn = await Firn.start({ dataDir })
    try {
      assert.equal((await stow(firn.dicomWeb, [instance.file])).status, 200)
      for (let n = 0; n < 5; n++) await get(`${firn.dicomWeb}/studies/${instance.studyUid}`, AS_STORED)
      await get(`${firn.dicomWeb}/studies?PatientID=X`)
      await until(
        'the accesses',
        () => logged(dataDir, 'access.read').length > 0 && logged(dataDir, 'access.query').length > 0,
      )
      await until(
        'the index',
        async () =>
          json<{ events: object[] }>(await get(`${firn.url}/api/v1/audit?kind=access.query`)).events.length > 0,
      )
    } finally {
      assert.equal((await firn.stop()).code, 0)
    }
    head = (await firnCommand(['events', 'head', '--data', dataDir])).stdout.trim()
    assert.match(head, /^\d+:[0-9a-f]{64}$/)
    assert.equal((await verify(dataDir, '--head', head)).code, 0)
  })

  function verify(dir: string, ...more: string[]) {
    return firnCommand(['events', 'verify', '--data', dir, ...more])
  }

  /** A copy of the data folder, of whose log one file's lines were changed. */
  function forged(change: (lines: string[]) => string[]): string {
    const dir = tempDir('forged')
    cpSync(dataDir, dir, { recursive: true })
    const file = logFiles(dir).at(-1) as string
    writeFileSync(
      file,
      change(readFileSync(file, 'utf8').split('\n').slice(0, -1))
        .map((line) => `${line}\n`)
        .join(''),
    )
    return dir
  }

  const at = (lines: string[], kind: string) => lines.findIndex((line) => line.includes(`"kind":"${kind}"`))

  /** As a forger would who has read the documentation: right hashes from there on. */
  function rehash(lines: string[], from: number): string[] {
    let prev = from === 0 ? '' : (JSON.parse(lines[from - 1] as string) as { hash: string }).hash
    return lines.map((line, index) => {
      if (index < from) return line
      const { hash: _, ...event } = JSON.parse(line) as Record<string, unknown>
      if (prev !== '') event.prev = prev
      if (index > 0) event.seq = (JSON.parse(lines[0] as string) as { seq: number }).seq + index
      const sorted = (value: unknown): unknown =>
        typeof value !== 'object' || value === null || Array.isArray(value)
          ? value
          : Object.fromEntries(
              Object.entries(value)
                .sort(([a], [b]) => (a < b ? -1 : 1))
                .map(([k, v]) => [k, sorted(v)]),
            )
      prev = createHash('sha256')
        .update(JSON.stringify(sorted(event)))
        .digest('hex')
      return JSON.stringify(sorted({ ...event, hash: prev }))
    })
  }

  const FORGERIES: [string, (lines: string[]) => string[], RegExp][] = [
    [
      'a line is changed',
      (lines) => lines.map((line) => line.replace('"service":"wado-rs"', '"service":"metadata"')),
      /altered/,
    ],
    [
      'a line is changed and given a right hash of its own',
      (lines) => {
        const n = at(lines, 'access.read')
        const changed = lines.with(n, (lines[n] as string).replace('127.0.0.1', '127.0.0.9'))
        return lines.with(n, rehash(changed, n)[n] as string)
      },
      /altered/,
    ],
    ['a line is removed', (lines) => lines.toSpliced(at(lines, 'access.read'), 1), /removed/],
    [
      'a line is inserted',
      (lines) => lines.toSpliced(at(lines, 'access.read'), 0, lines[at(lines, 'access.read')] as string),
      /inserted/,
    ],
    [
      'two lines are swapped',
      (lines) => {
        const n = at(lines, 'access.read')
        return lines.with(n, lines[n + 1] as string).with(n + 1, lines[n] as string)
      },
      /reordered/,
    ],
  ]

  for (const [what, change, word] of FORGERIES) {
    it(`is found when ${what}`, async () => {
      const { code, stdout } = await verify(forged(change))
      assert.equal(code, 1, stdout)
      assert.match(stdout, word)
      assert.match(stdout, /BROKEN/)
    })
  }

  it('is found by a head kept elsewhere when the end is cut off', async () => {
    const dir = forged((lines) => lines.slice(0, at(lines, 'access.read')))
    assert.equal((await verify(dir)).code, 0, 'the files alone can not tell')
    const { code, stdout } = await verify(dir, '--head', head)
    assert.deepEqual([code, /MISSING/.test(stdout)], [1, true])
  })

  it('is found by a head kept elsewhere when all of it is written anew with right hashes', async () => {
    const dir = forged((lines) => {
      const n = at(lines, 'access.read')
      return rehash(lines.toSpliced(n, 1), n)
    })
    assert.equal((await verify(dir)).code, 0, 'the files alone can not tell')
    assert.equal((await verify(dir, '--head', head)).code, 1)
  })

  function edit(dir: string, sql: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const database = new sqlite3.Database(join(dir, 'catalogue.sqlite'))
      database.exec(sql, (error) => {
        database.close()
        if (error) reject(error)
        else resolve()
      })
    })
  }

  const ROWS: [string, string, RegExp][] = [
    [
      'a name in it is changed',
      "UPDATE audit_events SET actor = 'somebody else' WHERE kind = 'access.read'",
      /altered in the catalogue \(actor\)/,
    ],
    [
      'what was done is changed',
      `UPDATE audit_events SET data = '{}' WHERE kind = 'access.query'`,
      /altered in the catalogue \(data\)/,
    ],
    ['rows are removed', "DELETE FROM audit_events WHERE kind = 'access.read'", /missing in the catalogue/],
    [
      'a row is invented',
      "INSERT INTO audit_events SELECT site, seq + 100000, hash, at, kind, 'framed', role, address, study, subject, data FROM audit_events WHERE kind = 'access.query'",
      /in no log/,
    ],
  ]

  for (const [what, sql, words] of ROWS) {
    it(`in the catalogue is found and made good when ${what}`, async () => {
      const dir = tempDir('edited')
      cpSync(dataDir, dir, { recursive: true })
      assert.equal((await verify(dir, '--catalogue')).code, 0)
      await edit(dir, sql)
      assert.equal((await verify(dir)).code, 0, 'the log is as it was')
      const found = await verify(dir, '--catalogue')
      assert.equal(found.code, 1, found.stdout)
      assert.match(found.stdout, words)
      assert.equal((await verify(dir, '--catalogue', '--repair')).code, 1)
      assert.equal((await verify(dir, '--catalogue')).code, 0)
    })
  }

  it('in the catalogue is undone by a rebuild', async () => {
    const dir = tempDir('edited')
    cpSync(dataDir, dir, { recursive: true })
    await edit(dir, "DELETE FROM audit_events WHERE kind LIKE 'access.%'")
    assert.equal((await firnCommand(['rebuild', '--data', dir])).code, 0)
    assert.equal((await verify(dir, '--catalogue')).code, 0)
  })

  it('is noticed by a node that starts on a log which was cut: it says so, and does not go on as if nothing were', async () => {
    const dir = forged((lines) => lines.slice(0, at(lines, 'access.read')))
    const firn = await Firn.start({ dataDir: dir })
    try {
      const degraded = await until(
        'degraded',
        async () => {
          const { degraded } = (await (await firn.get('/health/ready')).json()) as { degraded: string[] }
          return degraded.find((reason) => reason.includes('cut'))
        },
        20_000,
      )
      assert.match(degraded, /the log ends at|was cut/)
    } finally {
      await firn.kill()
    }
  })
})
