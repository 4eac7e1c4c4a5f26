import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { presets } from './index.ts'
import { policyFrom, presetSchema } from './preset.ts'

describe('presets', () => {
  for (const [id, input] of Object.entries(presets)) {
    test(`${id} is complete, and marked as not reviewed`, () => {
      const preset = presetSchema.parse(input)
      assert.equal(preset.id, id)
      assert.equal(preset.reviewed, false)
      assert.equal(preset.signOff, null)
      assert.ok(preset.notes.length > 0, 'what could not be checked must be said')
      const { rules } = policyFrom([input], { id, version: preset.version, timeZone: 'Europe/Berlin' })
      for (const { rule } of preset.sources)
        assert.ok(
          rules.some((other) => other.id.startsWith(rule)),
          rule,
        )
    })
  }

  test('only who signs can mark a preset as reviewed', () => {
    const { de = assert.fail() } = presets
    assert.ok(!presetSchema.safeParse({ ...de, reviewed: true }).success)
    assert.ok(
      presetSchema.safeParse({ ...de, reviewed: true, signOff: { by: 'A', role: 'counsel', on: '2026-12-01' } })
        .success,
    )
  })

  test('all of them together are one policy', () => {
    const policy = policyFrom(Object.values(presets), { id: 'all', version: '1', timeZone: 'Europe/Zurich' })
    assert.ok(policy.rules.length >= 20)
  })
})
