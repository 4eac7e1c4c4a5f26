import assert from 'node:assert/strict'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { tempDir } from '../../test/support/host.ts'
import { type ClockOptions, ComplianceClock } from './clock.ts'

const HOUR_MS = 3_600_000
const YEAR_MS = 365 * 24 * HOUR_MS
const START_MS = Date.parse('2026-01-01T00:00:00Z')

/** A machine whose clocks the test sets. */
class Machine {
  system = START_MS
  monotonic = 0
  systemMs = () => this.system
  monotonicMs = () => this.monotonic
  pass(ms: number): void {
    this.system += ms
    this.monotonic += ms
  }
}

const opener =
  (machine: Machine, path: string) =>
  (over: Partial<ClockOptions> = {}) =>
    ComplianceClock.open({ path, site: 'a', remembered: undefined, time: machine, warn: () => undefined, ...over })

function made() {
  const machine = new Machine()
  const path = join(tempDir('clock'), 'clock.json')
  return { machine, path, open: opener(machine, path) }
}

describe('compliance clock on disk', () => {
  test('follows time that passes, and no system clock that is set ahead', async () => {
    const { machine, open } = made()
    const clock = await open()
    machine.pass(HOUR_MS)
    assert.equal((await clock.observe()).complianceMs, START_MS + HOUR_MS)
    machine.system += 10 * YEAR_MS
    assert.equal((await clock.observe()).complianceMs, START_MS + HOUR_MS)
    machine.system -= 20 * YEAR_MS
    const { complianceMs, systemBehind } = await clock.observe()
    assert.deepEqual([complianceMs, systemBehind], [START_MS + HOUR_MS, true])
  })

  test('a restart adds nothing, and shows nothing earlier', async () => {
    const { machine, open } = made()
    const before = await open()
    machine.pass(HOUR_MS)
    await before.close()
    machine.system += 10 * YEAR_MS
    machine.monotonic = 5
    const after = await open()
    assert.equal((await after.observe()).complianceMs, START_MS + HOUR_MS)
    assert.equal(after.clockId, before.clockId)
  })

  test('a file that is lost or damaged is no way to a later time', async () => {
    const { machine, path, open } = made()
    const { clockId } = await open()
    const remembered = { clockId, complianceMs: START_MS }
    machine.system += 10 * YEAR_MS
    for (const lose of [() => rmSync(path), () => writeFileSync(path, '{"clockId":1}')]) {
      lose()
      const clock = await open({ remembered })
      assert.deepEqual([(await clock.observe()).complianceMs, clock.clockId], [START_MS, clockId])
    }
  })

  test('an old copy of the file does not undo what the event log has seen', async () => {
    const { machine, path, open } = made()
    const clock = await open()
    const old = readFileSync(path)
    machine.pass(HOUR_MS)
    const { complianceMs } = await clock.observe()
    writeFileSync(path, old)
    const again = await open({ remembered: { clockId: clock.clockId, complianceMs } })
    assert.equal(again.nowMs(), complianceMs)
  })

  test('is set forward no further than the system clock', async () => {
    const { machine, open } = made()
    const before = await open()
    await before.close()
    machine.system += HOUR_MS
    const clock = await open()
    assert.equal(clock.nowMs(), START_MS)
    assert.equal((await clock.setForward(START_MS + 2 * HOUR_MS)).complianceMs, START_MS + HOUR_MS)
  })
})
