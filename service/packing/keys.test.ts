import assert from 'node:assert/strict'
import { test } from 'node:test'
import { packKey, packPrefix, parsePackKey } from './keys.ts'

const digest = 'ab'.repeat(32)

test('the key of a pack names its study and its digest', () => {
  // printf 1.2.3 | sha256sum
  assert.equal(packKey('1.2.3', digest), `packs/c4/1.2.3/${digest}.tar`)
  assert.ok(packKey('1.2.3', digest).startsWith(packPrefix('1.2.3')))
  assert.deepEqual(parsePackKey(`packs/c4/1.2.3/${digest}.tar`), { studyUid: '1.2.3', sha256: digest })
})

test('nothing else is a key of a pack', () => {
  for (const key of [
    '',
    `packs/c5/1.2.3/${digest}.tar`,
    `packs/c4/1.2.3/${digest}.tar.gz`,
    `x/packs/c4/1.2.3/${digest}.tar`,
    `packs/c4/1.2.3/${digest.toUpperCase()}.tar`,
    `packs/9d/../${digest}.tar`,
    `packs/c4/1.2.3/x/${digest}.tar`,
  ]) {
    assert.equal(parsePackKey(key), undefined, key)
  }
  assert.throws(() => packKey('..', digest), RangeError)
  assert.throws(() => packKey('1.2.3', 'x'), RangeError)
})
