import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type DicomOptions, dicomFile, identifiers } from '../../test/fixtures/dicom.ts'
import { SOURCE } from '../../test/property/core.ts'
import { type OpenedSite, withSite } from '../../test/property/site.ts'
import { tempDir } from '../../test/support/host.ts'
import { Pace } from './pace.ts'
import type { Finding, PeerReceipts, Reference, Requester } from './ports.ts'
import { Verifier, type VerifierOptions } from './verify.ts'

const SENDER: Requester = { protocol: 'dicomweb', name: SOURCE.name, address: SOURCE.address }
const HOUR_MS = 3_600_000

const { studyUid: STUDY, seriesUid: SERIES } = identifiers({ seed: 'verify' })
const options = (n: number): DicomOptions => ({
  seed: `verify/${n}`,
  studyUid: STUDY,
  seriesUid: SERIES,
  instanceNumber: n,
  rows: 40,
})
const reference = (n: number, over: Partial<Reference> = {}): Reference => {
  const { sopClassUid, sopInstanceUid } = identifiers(options(n))
  return { sopClassUid, sopInstanceUid, ...over }
}
const COMMITTED: Finding = { verdict: 'committed' }
const DAMAGED: Finding = { verdict: 'failed', reason: 'processing_failure' }
const pending = (why: 'absent' | 'unreadable' | 'peer'): Finding => ({ verdict: 'pending', why })

function verifierOf({ archive, copies }: OpenedSite, over: Partial<VerifierOptions> = {}) {
  const checked: string[] = []
  const verifier = new Verifier({
    catalogue: archive.catalogue.commitments,
    landing: archive.landing,
    packs: archive.catalogue,
    check(pack, store) {
      checked.push(store)
      return copies.check(pack, store)
    },
    peers: undefined,
    verifiedWithinMs: HOUR_MS,
    pace: new Pace(1e9),
    warn: () => undefined,
    ...over,
  })
  return { verify: (references: readonly Reference[], by = SENDER) => verifier.verify(references, by), checked }
}

/** Changes the last bytes of an instance, wherever a file has them. */
function damage(folder: string, n: number): void {
  const file = dicomFile(options(n))
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((one) => one.endsWith('.tar'))) {
    const path = join(folder, name)
    const content = readFileSync(path)
    const at = content.indexOf(file)
    if (at < 0) continue
    const last = at + file.length - 1
    content[last] = (content[last] as number) ^ 1
    writeFileSync(path, content)
  }
}

describe('whether an instance is safe', () => {
  test('what is in the landing is read and hashed', async () => {
    const dataDir = tempDir('verify')
    await withSite(dataDir, { landing: { directIo: false } }, async (site) => {
      for (const n of [1, 2]) await site.send(dicomFile(options(n)))
      const { verify } = verifierOf(site)
      assert.deepEqual(await verify([reference(1), reference(2), reference(1)]), [COMMITTED, COMMITTED, COMMITTED])
      damage(join(dataDir, 'landing'), 2)
      assert.deepEqual(await verify([reference(1), reference(2)]), [COMMITTED, DAMAGED])
    })
  })

  test('what is absent is pending, another class or study is refused', async () => {
    await withSite(tempDir('verify'), {}, async (site) => {
      await site.send(dicomFile(options(1)))
      const { studyUid, seriesUid } = identifiers(options(1))
      const { verify } = verifierOf(site)
      assert.deepEqual(
        await verify([
          reference(9),
          reference(1, { sopClassUid: '1.2.840.10008.5.1.4.1.1.4' }),
          reference(1, { studyUid, seriesUid }),
          reference(1, { studyUid, seriesUid: '1.2.3' }),
          reference(1, { studyUid: '1.2.3', seriesUid }),
        ]),
        [
          pending('absent'),
          { verdict: 'failed', reason: 'class_conflict' },
          COMMITTED,
          { verdict: 'failed', reason: 'no_such_instance' },
          { verdict: 'failed', reason: 'no_such_instance' },
        ],
      )
      assert.deepEqual(await verify([]), [])
    })
  })

  test('of a conflict only the sender of what is served, and of nothing else, gets a commitment', async () => {
    await withSite(tempDir('verify'), {}, async (site) => {
      const other = dicomFile({ ...options(1), rows: 41 })
      await site.send(dicomFile(options(1)))
      const source = { protocol: 'dimse', name: 'LOSER', address: '10.0.0.1' } as const
      const send = (from: typeof source) =>
        site.archive.receiver.receive({
          body: (async function* () {
            yield other
          })(),
          source: from,
        })
      assert.equal((await send(source)).outcome, 'conflict')
      const { verify } = verifierOf(site)
      const ask = async (requester: Requester) => (await verify([reference(1)], requester))[0]
      assert.deepEqual(await ask(SENDER), COMMITTED)
      assert.deepEqual(await ask({ protocol: 'dimse', name: 'LOSER', address: '10.0.0.1' }), DAMAGED)
      assert.deepEqual(await ask({ protocol: 'dimse', name: SENDER.name, address: SENDER.address }), DAMAGED)
      assert.deepEqual(await ask({ protocol: 'dicomweb', name: '', address: SENDER.address }), DAMAGED)
    })
  })

  test('what is sealed counts while its pack was read back lately, and is read again after that', async () => {
    const dataDir = tempDir('verify')
    await withSite(dataDir, {}, async (site) => {
      for (const n of [1, 2, 3]) await site.send(dicomFile(options(n)))
      const { studyUid } = identifiers(options(1))
      await site.sealer.seal(studyUid)
      const all = [reference(1), reference(2), reference(3)]
      const fresh = verifierOf(site)
      assert.deepEqual(await fresh.verify(all), [COMMITTED, COMMITTED, COMMITTED])
      assert.deepEqual(fresh.checked, [])
      const strict = verifierOf(site, { verifiedWithinMs: 0 })
      assert.deepEqual(await strict.verify(all), [COMMITTED, COMMITTED, COMMITTED])
      assert.deepEqual(strict.checked, ['local'], 'one reading serves all of a pack')
      damage(join(dataDir, 'store'), 2)
      assert.deepEqual(await strict.verify(all), [DAMAGED, DAMAGED, DAMAGED])
    })
  })

  test('a store that gives nothing leaves it pending, another that has it whole decides', async () => {
    await withSite(tempDir('verify'), {}, async (site) => {
      await site.send(dicomFile(options(1)))
      await site.sealer.seal(identifiers(options(1)).studyUid)
      const states: ('intact' | 'damaged' | 'unreadable')[] = []
      const [pack] = await site.archive.catalogue.packs({ limit: 1 })
      const two = ['a', 'b'].map((store) => ({ store, verifiedAt: '2026-01-01T00:00:00.000Z' }))
      const { verify } = verifierOf(site, {
        packs: { pack: async () => pack && { ...pack, copies: two } },
        check: async () => states.shift() ?? 'unreadable',
      })
      for (const [first, second, finding] of [
        ['unreadable', 'unreadable', pending('unreadable')],
        ['damaged', 'unreadable', pending('unreadable')],
        ['damaged', 'damaged', DAMAGED],
        ['unreadable', 'intact', COMMITTED],
      ] as const) {
        states.splice(0, 2, first, second)
        assert.deepEqual(await verify([reference(1)]), [finding], `${first}, ${second}`)
      }
      const gone = verifierOf(site, { packs: { pack: async () => undefined } })
      assert.deepEqual(await gone.verify([reference(1)]), [DAMAGED])
    })
  })

  test('with another site its receipt is wanted too; without it nothing is read, and nothing is success', async () => {
    await withSite(tempDir('verify'), {}, async (site) => {
      for (const n of [1, 2]) await site.send(dicomFile(options(n)))
      let receipts: PeerReceipts['confirmed'] = async () => new Set()
      let reads = 0
      const { verify } = verifierOf(site, {
        peers: { confirmed: (digests) => receipts(digests) },
        landing: {
          read: (...at) => {
            reads += 1
            return site.archive.landing.read(...at)
          },
        },
      })
      const both = [reference(1), reference(2)]
      assert.deepEqual(await verify(both), [pending('peer'), pending('peer')])
      receipts = async () => {
        throw new Error('the other site is away')
      }
      assert.deepEqual(await verify(both), [pending('peer'), pending('peer')])
      assert.equal(reads, 0)
      receipts = async (digests) => new Set(digests.slice(0, 1))
      const findings = await verify(both)
      assert.deepEqual(findings.map(({ verdict }) => verdict).sort(), ['committed', 'pending'])
      receipts = async (digests) => new Set(digests)
      assert.deepEqual(await verify(both), [COMMITTED, COMMITTED])
    })
  })

  test('one that was sealed and let go of while it was looked for is found where it is now', async () => {
    await withSite(tempDir('verify'), {}, async (site) => {
      await site.send(dicomFile(options(1)))
      const { commitments } = site.archive.catalogue
      let moved = false
      const { verify } = verifierOf(site, {
        catalogue: {
          async copiesOf(uids) {
            const found = await commitments.copiesOf(uids)
            if (!moved) await site.sealer.seal(identifiers(options(1)).studyUid)
            moved = true
            return found
          },
        },
        landing: { read: () => site.archive.landing.read({ segment: 4711, offset: 0 }, 0, 10) },
      })
      assert.deepEqual(await verify([reference(1)]), [COMMITTED])
    })
  })
})
