import assert from 'node:assert/strict'
import { test } from 'node:test'
import { transferSyntax, transferSyntaxes } from './transfer-syntaxes.ts'
import { isStorageSopClass, isUid, sopClassName, storageSopClasses } from './uids.ts'

test('UIDs are what real files have in their place, at most 64 characters, and safe in paths', () => {
  for (const uid of ['1.2.840.10008.1.2', '1', '1.02.3', '2.25.'.padEnd(64, '1'), '0fe1c2a4', 'a.b'])
    assert.equal(isUid(uid), true, uid)
  for (const uid of ['', '1.2 ', '1.2\n', '.', '..', '.1', '1/2', '1\\2', '1,2', '2.25.'.padEnd(65, '1')])
    assert.equal(isUid(uid), false, uid)
})

test('storage SOP Classes', () => {
  assert.equal(sopClassName('1.2.840.10008.5.1.4.1.1.2'), 'CT Image Storage')
  assert.ok(storageSopClasses.size > 190)
  for (const uid of storageSopClasses.keys()) assert.ok(isUid(uid) && isStorageSopClass(uid), uid)
  assert.equal(isStorageSopClass('1.2.840.10008.5.1.4.1.1.999'), true, 'later ones are in the same arc')
  for (const uid of ['1.2.840.10008.1.1', '1.2.840.10008.5.1.4.1.2.2.1', '1.2.840.10008.1.3.10', '1.2.3']) {
    assert.equal(isStorageSopClass(uid), false, uid)
  }
})

test('transfer syntaxes', () => {
  for (const [uid, syntax] of transferSyntaxes) {
    assert.equal(syntax.uid, uid)
    assert.ok(isUid(uid))
    if (syntax.encapsulated) assert.ok(syntax.explicit && !syntax.bigEndian && !syntax.deflated, uid)
  }
  assert.equal(transferSyntax('1.2.840.10008.1.2').explicit, false)
  assert.equal(transferSyntax('1.2.840.10008.1.2.2').bigEndian, true)
  assert.equal(transferSyntax('1.2.840.10008.1.2.1.99').deflated, true)
  assert.equal(transferSyntax('1.2.840.10008.1.2.4.80').mediaType, 'image/jls')
  assert.equal(transferSyntax('1.2.840.10008.1.2.4.102').video, true)
  assert.equal(transferSyntax('1.3.6.1.4.1.private').encapsulated, true)
})
