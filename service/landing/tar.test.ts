import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { pseudoRandom } from '../../test/fixtures/random.ts'
import { sha256 } from '../../test/property/core.ts'
import { tempDir } from '../../test/support/host.ts'
import {
  BLOCK,
  decodeMemberHeader,
  END_OF_SEGMENT,
  encodeMemberHeader,
  MEMBER_HEADER_BYTES,
  type Member,
  memberName,
  paddingBytes,
} from './tar.ts'

const NOTE: Member['note'] = {
  firn: 1,
  sha256: sha256(Buffer.from('x')),
  received: '2026-11-22T12:13:14.567Z',
  source: { protocol: 'dimse', name: 'PACS', address: '::1' },
}
const longUid = (digit: string): string => `2.25.${digit.repeat(59)}`
const uid = fc.stringMatching(/^[1-9][0-9]{0,20}(\.[1-9][0-9]{0,20}){1,2}$/).filter((text) => text.length <= 64)

describe('the tar format of segments', () => {
  test('tar lists and restores every member, byte for byte', () => {
    const dir = tempDir('tar')
    const sizes = [0, 1, 511, 512, 513, 1023, 1024, 1025, 10_240, 70_001]
    const files = sizes.map((size, index) => {
      const name =
        index % 2 === 0
          ? memberName(longUid('1'), longUid('2'), `2.25.${String(index).padEnd(59, '9')}`)
          : memberName('1.2', '1.3', `1.4.${index}`)
      return { name, bytes: pseudoRandom(`tar/${index}`, size) }
    })
    const parts = files.flatMap(({ name, bytes }) => [
      encodeMemberHeader({ name, sizeBytes: bytes.length, note: NOTE }),
      bytes,
      Buffer.alloc(paddingBytes(bytes.length)),
    ])
    const archive = join(dir, 'segment.tar')
    writeFileSync(archive, Buffer.concat([...parts, END_OF_SEGMENT]))
    const tar = (...args: string[]) => execFileSync('tar', args, { cwd: dir, encoding: 'utf8', stdio: 'pipe' })
    assert.deepEqual(
      tar('-tf', archive).trim().split('\n'),
      files.map(({ name }) => name),
    )
    tar('-xf', archive)
    for (const { name, bytes } of files) assert.ok(readFileSync(join(dir, name)).equals(bytes), name)
  })

  test('tar understands a member beyond 8 GiB', () => {
    const dir = tempDir('tar')
    const archive = join(dir, 'giant.tar')
    const sizeBytes = 8 * 1024 ** 3 + 513
    writeFileSync(archive, encodeMemberHeader({ name: '1.2/1.3/1.4.dcm', sizeBytes, note: NOTE }))
    const end = MEMBER_HEADER_BYTES + sizeBytes + paddingBytes(sizeBytes)
    truncateSync(archive, end)
    const second = encodeMemberHeader({ name: '1.2/1.3/1.5.dcm', sizeBytes: 0, note: NOTE })
    const tail = Buffer.concat([second, END_OF_SEGMENT])
    const file = openSync(archive, 'r+')
    writeSync(file, tail, 0, tail.length, end)
    closeSync(file)
    const listing = execFileSync('tar', ['-tvf', archive], { encoding: 'utf8', stdio: 'pipe' })
    assert.match(listing, new RegExp(` ${sizeBytes} .* 1\\.2/1\\.3/1\\.4\\.dcm\n.* 1\\.2/1\\.3/1\\.5\\.dcm\n$`))
  })

  test('a header says again what it was made of', () => {
    const size = fc.oneof(
      fc.nat(),
      fc.maxSafeNat(),
      fc.constantFrom(0o77777777776, 0o77777777777, 0o100000000000, Number.MAX_SAFE_INTEGER),
    )
    const source = fc.record({
      protocol: fc.constantFrom('stow' as const, 'dimse' as const, 'import' as const),
      name: fc.string({ unit: 'grapheme', maxLength: 20 }),
      address: fc.string({ maxLength: 45 }),
    })
    fc.assert(
      fc.property(uid, uid, uid, size, source, (study, series, instance, sizeBytes, from) => {
        const plain = JSON.parse(JSON.stringify(from)) as Member['note']['source']
        const member: Member = {
          name: memberName(study, series, instance),
          sizeBytes,
          note: { ...NOTE, source: plain },
        }
        const header = encodeMemberHeader(member)
        assert.equal(header.length, MEMBER_HEADER_BYTES)
        assert.equal(header.length % BLOCK, 0)
        assert.deepEqual(decodeMemberHeader(header), member)
        // POSIX: the size field's twelfth byte ends it, whatever the size.
        assert.equal(header[MEMBER_HEADER_BYTES - BLOCK + 124 + 11], 0)
      }),
      { numRuns: 300 },
    )
  })

  test('a header has not changed since the format was written down', () => {
    const header = encodeMemberHeader({ name: '1.2/1.3/1.4.dcm', sizeBytes: 4711, note: NOTE })
    assert.equal(sha256(header), '6d5fbaddc854233ec90ab4e0e725bba8f2bd18e85885170a4c14113fccfaf3de')
  })

  test('no flipped bit of the tar headers passes for another member', () => {
    const member: Member = { name: '1.2/1.3/1.4.dcm', sizeBytes: 4711, note: NOTE }
    const header = encodeMemberHeader(member)
    let found = 0
    for (let at = 0; at < header.length; at++) {
      // The blocks of pax records have no checksum of their own: their digest is checked against the data.
      if (at >= BLOCK && at < MEMBER_HEADER_BYTES - BLOCK) continue
      for (let bit = 0; bit < 8; bit++) {
        const flipped = Buffer.from(header)
        flipped[at] = (flipped[at] as number) ^ (1 << bit)
        const decoded = decodeMemberHeader(flipped)
        if (decoded) assert.deepEqual(decoded, member, `byte ${at}, bit ${bit}`)
        else found += 1
      }
    }
    assert.ok(found > 8000, `only ${found} of 8192 flips were noticed`)
  })

  test('what is no header is none', () => {
    const header = encodeMemberHeader({ name: '1.2/1.3/1.4.dcm', sizeBytes: 1, note: NOTE })
    assert.equal(decodeMemberHeader(header.subarray(0, header.length - 1)), undefined)
    assert.equal(decodeMemberHeader(Buffer.alloc(MEMBER_HEADER_BYTES)), undefined)
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 2048, maxLength: 2048 }), (bytes) => {
        assert.equal(decodeMemberHeader(Buffer.from(bytes)), undefined)
      }),
      { numRuns: 50 },
    )
  })
})
