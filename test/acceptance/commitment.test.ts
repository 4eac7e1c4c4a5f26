import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { sopClasses } from '../fixtures/dicom.ts'
import { actionInformation, CommitmentListener, CommitmentScu, type Report } from '../support/commitment.ts'
import { Association } from '../support/dimse.ts'
import { Firn } from '../support/firn.ts'
import { type Instance, instanceOfSize, makeInstance, uidsOf } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { get, json, stow } from '../support/web.ts'

const random = new Random(newSeed())
const NO_SUCH_INSTANCE = 0x0112
const CLASS_CONFLICT = 0x0119
const PROCESSING_FAILURE = 0x0110
const DUPLICATE_TRANSACTION = 0x0131

interface Listed {
  id: number
  transactionUid: string
  state: string
  committed: number
  failed: number
  attempts: number
  trouble: string
}

describe(`storage commitment (seed ${random.seed})`, () => {
  let firn: Firn
  let listener: CommitmentListener
  before(async () => {
    listener = await CommitmentListener.listen()
    const destinations = [{ aeTitle: 'MODALITY', host: '127.0.0.1', port: listener.port }]
    firn = await Firn.start({ config: { dimse: { destinations }, commitment: { patienceSeconds: 4 } } })
  })
  after(async () => {
    await firn.kill()
    await listener.close()
  })

  const files = (instances: readonly Instance[]) => instances.map(({ file }) => file)
  const stored = async (count: number): Promise<Instance[]> => {
    const instances = Array.from({ length: count }, () => makeInstance(random, { frameBytes: 3000 }))
    assert.equal((await stow(firn.dicomWeb, files(instances))).status, 200)
    return instances
  }
  const uids = (instances: readonly Instance[]) => instances.map(({ sopInstanceUid }) => sopInstanceUid).sort()
  const listed = async (transactionUid: string): Promise<Listed[]> =>
    json<{ commitments: Listed[] }>(await get(`${firn.url}/api/v1/commitments?transactionUid=${transactionUid}`))
      .commitments
  const reported = (transactionUid: string, ms = 20_000): Promise<Report> =>
    until(
      'a result on an association of its own',
      () => listener.reports.find((report) => report.transactionUid === transactionUid),
      ms,
    )
  /** Asks and goes away, as most modalities do. */
  const askAndLeave = async (
    transactionUid: string,
    references: readonly Partial<Instance>[],
    calling = 'MODALITY',
  ) => {
    const scu = await CommitmentScu.open(firn.dimsePort, { calling })
    assert.equal(await scu.ask({ transactionUid, references }), 0)
    await scu.release()
  }
  const damage = (folder: string, bytes: Buffer): number => {
    const all = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    let damaged = 0
    for (const name of all.filter((each) => /[.](tar|pack)$/.test(each) || each.includes('segment'))) {
      const path = join(folder, name)
      const content = readFileSync(path)
      const at = content.indexOf(bytes)
      if (at < 0) continue
      content[at + 10] = (content[at + 10] as number) ^ 0xff
      writeFileSync(path, content)
      damaged += 1
    }
    return damaged
  }

  describe('over DIMSE', () => {
    for (const explicit of [true, false]) {
      it(`tells the result on the association that asked (${explicit ? 'explicit' : 'implicit'})`, async () => {
        const instances = await stored(3)
        const scu = await CommitmentScu.open(firn.dimsePort, { explicit, calling: 'NOT_CONFIGURED' })
        const transactionUid = random.uid()
        assert.equal(await scu.ask({ transactionUid, references: instances }), 0)
        const report = await scu.report()
        assert.equal(report.eventType, 1)
        assert.equal(report.transactionUid, transactionUid)
        assert.deepEqual(report.committed.sort(), uids(instances))
        assert.equal(report.failed.size, 0)
        await scu.release()
        const [one] = await listed(transactionUid)
        assert.deepEqual([one?.state, one?.committed, one?.failed], ['done', 3, 0])
      })
    }

    it('tells it on an association of its own, as SCP, when the requester has left', async () => {
      const instances = await stored(2)
      const transactionUid = random.uid()
      await askAndLeave(transactionUid, instances)
      const report = await reported(transactionUid)
      assert.equal(report.eventType, 1)
      assert.deepEqual(report.role, { scu: false, scp: true })
      assert.deepEqual(report.committed.sort(), uids(instances))
    })

    it('refuses what is of another class or never comes, and commits the rest', async () => {
      const [good, other] = (await stored(2)) as [Instance, Instance]
      const missing = random.uid()
      const transactionUid = random.uid()
      await askAndLeave(transactionUid, [
        good,
        { ...other, sopClassUid: sopClasses.mr },
        { sopClassUid: sopClasses.ct, sopInstanceUid: missing },
      ])
      await delay(1000)
      assert.equal(
        listener.reports.some((one) => one.transactionUid === transactionUid),
        false,
        'patience is 4 s',
      )
      const report = await reported(transactionUid)
      assert.equal(report.eventType, 2)
      assert.deepEqual(report.committed, [good.sopInstanceUid])
      assert.deepEqual(
        report.failed,
        new Map([
          [other.sopInstanceUid, CLASS_CONFLICT],
          [missing, NO_SUCH_INSTANCE],
        ]),
      )
    })

    it('commits what comes after it was asked for', async () => {
      const late = makeInstance(random)
      const transactionUid = random.uid()
      await askAndLeave(transactionUid, [late])
      assert.equal((await listed(transactionUid))[0]?.state, 'pending')
      assert.equal((await stow(firn.dicomWeb, [late.file])).status, 200)
      assert.deepEqual((await reported(transactionUid)).committed, [late.sopInstanceUid])
    })

    it('answers the same request again with the same result, and another one with 0131H', async () => {
      const instances = await stored(2)
      const transactionUid = random.uid()
      const scu = await CommitmentScu.open(firn.dimsePort, { calling: 'AGAIN' })
      for (let n = 0; n < 3; n++) {
        assert.equal(await scu.ask({ transactionUid, references: instances }), 0)
        assert.deepEqual((await scu.report()).committed.sort(), uids(instances))
      }
      assert.equal((await listed(transactionUid)).length, 1)
      assert.equal(await scu.ask({ transactionUid, references: instances.slice(0, 1) }), 0)
      const report = await scu.report()
      assert.equal(report.eventType, 2)
      assert.deepEqual([...report.failed.values()], [DUPLICATE_TRANSACTION])
      await scu.release()
    })

    it('refuses the loser of a conflict, and commits the winner to its own sender only', async () => {
      const winner = makeInstance(random)
      const loser = instanceOfSize(random, 700, uidsOf(winner))
      const storeAs = async (
        calling: string,
        { sopClassUid, sopInstanceUid, transferSyntaxUid, dataSet }: Instance,
      ) => {
        const proposal = { sopClassUid, transferSyntaxUids: [transferSyntaxUid] }
        const association = await Association.open(firn.dimsePort, [proposal], { calling })
        assert.equal(await association.store(sopClassUid, sopInstanceUid, transferSyntaxUid, dataSet), 0)
        await association.release()
      }
      await storeAs('WINNER', winner)
      await storeAs('LOSER', loser)
      for (const [calling, eventType] of [
        ['WINNER', 1],
        ['LOSER', 2],
        ['THIRD', 2],
      ] as const) {
        const scu = await CommitmentScu.open(firn.dimsePort, { calling })
        assert.equal(await scu.ask({ transactionUid: random.uid(), references: [winner] }), 0)
        const report = await scu.report()
        assert.equal(report.eventType, eventType, calling)
        if (eventType === 2) assert.deepEqual([...report.failed.values()], [PROCESSING_FAILURE], calling)
        await scu.release()
      }
    })

    it('never commits damaged bytes, and commits them when they have come again', async () => {
      const instance = instanceOfSize(random, 5000)
      await stow(firn.dicomWeb, [instance.file])
      assert.equal(damage(join(firn.dataDir, 'landing'), instance.file.subarray(-2000, -1000)), 1)
      const ask = async () => {
        const scu = await CommitmentScu.open(firn.dimsePort, { calling: 'DAMAGED' })
        assert.equal(await scu.ask({ transactionUid: random.uid(), references: [instance] }), 0)
        const report = await scu.report()
        await scu.release()
        return report
      }
      const refused = await ask()
      assert.equal(refused.eventType, 2)
      assert.deepEqual(refused.failed, new Map([[instance.sopInstanceUid, PROCESSING_FAILURE]]))
      assert.equal((await stow(firn.dicomWeb, [instance.file])).status, 200)
      assert.equal((await ask()).eventType, 1)
    })

    it('refuses requests that are wrong, each with its status, and goes on', async () => {
      const [instance] = (await stored(1)) as [Instance]
      const scu = await CommitmentScu.open(firn.dimsePort, { calling: 'HOSTILE' })
      const good = { transactionUid: random.uid(), references: [instance] }
      const cut = actionInformation(good).subarray(0, 60)
      const cases: [string, number, Parameters<CommitmentScu['ask']>[0]][] = [
        ['unknown action', 0x0123, { ...good, actionType: 7 }],
        ['another instance', 0x0112, { ...good, sopInstanceUid: '1.2.3' }],
        ['no data set', 0x0115, { dataSet: null }],
        ['an empty data set', 0x0115, { dataSet: Buffer.alloc(0) }],
        ['cut off', 0x0115, { dataSet: cut }],
        ['no data set at all', 0x0115, { dataSet: random.bytes(500) }],
        ['no Transaction UID', 0x0115, { references: [instance] }],
        ['a Transaction UID that is none', 0x0115, { ...good, transactionUid: '../etc' }],
        ['no sequence', 0x0115, { transactionUid: random.uid() }],
        ['an empty sequence', 0x0115, { transactionUid: random.uid(), references: [] }],
        ['no class', 0x0115, { ...good, references: [{ sopInstanceUid: '1.2.3' }] }],
        ['no instance', 0x0115, { ...good, references: [instance, { sopClassUid: sopClasses.ct }] }],
      ]
      for (const [what, status, action] of cases) {
        assert.equal((await scu.ask(action)).toString(16), status.toString(16), what)
      }
      assert.equal(await scu.ask(good), 0)
      assert.equal((await scu.report()).eventType, 1)
      await scu.release()
    })

    it('refuses more references than it takes with 0213H, without growing', async () => {
      const many = Array.from({ length: 20_001 }, (_, n) => ({
        sopClassUid: sopClasses.ct,
        sopInstanceUid: `1.2.${n}`,
      }))
      const scu = await CommitmentScu.open(firn.dimsePort, { calling: 'MANY' })
      assert.equal(await scu.ask({ transactionUid: random.uid(), references: many }), 0x0213)
      assert.equal(await scu.ask({ transactionUid: random.uid(), dataSet: Buffer.alloc(12_000_000) }), 0x0213)
      await scu.release()
    })

    it('decides a request of as many as it takes, and others beside it', async () => {
      const known = await stored(50)
      const many = Array.from({ length: 19_950 }, () => ({ sopClassUid: sopClasses.ct, sopInstanceUid: random.uid() }))
      const transactionUid = random.uid()
      await askAndLeave(transactionUid, [...known, ...many])
      const scu = await CommitmentScu.open(firn.dimsePort, { calling: 'BESIDE' })
      assert.equal(await scu.ask({ transactionUid: random.uid(), references: known }), 0)
      assert.equal((await scu.report()).eventType, 1)
      await scu.release()
      const report = await reported(transactionUid, 60_000)
      assert.deepEqual(report.committed.sort(), uids(known))
      assert.equal(report.failed.size, many.length)
      assert.ok([...report.failed.values()].every((reason) => reason === NO_SUCH_INSTANCE))
    })

    it('grants nobody the role of SCP, and takes no request from whom has not that of SCU', async () => {
      const [instance] = (await stored(1)) as [Instance]
      const scu = await CommitmentScu.open(firn.dimsePort, { roles: [false, true] })
      assert.equal(await scu.ask({ transactionUid: random.uid(), references: [instance] }), 0x0124)
      await scu.release()
    })

    it('reports to nobody on an association that goes on with other things', async () => {
      const [instance] = (await stored(1)) as [Instance]
      const transactionUid = random.uid()
      const scu = await CommitmentScu.open(firn.dimsePort)
      assert.equal(await scu.ask({ transactionUid, references: [instance] }), 0)
      assert.equal(await scu.ask({ actionType: 9, dataSet: null }), 0x0123)
      assert.equal((await reported(transactionUid)).eventType, 1)
      await scu.release()
    })

    it('offers a result again to an AE that did not take it, and gives up where it is not wanted', async () => {
      const [instance] = (await stored(1)) as [Instance]
      const unwanted = random.uid()
      listener.status = 0x0112
      await askAndLeave(unwanted, [instance])
      await until('the end', async () => (await listed(unwanted))[0]?.state === 'undelivered')
      listener.status = 0
      for (const behaviour of ['reject', 'noRole'] as const) {
        const transactionUid = random.uid()
        listener.behaviour = behaviour
        await askAndLeave(transactionUid, [instance])
        const waiting = await until('an attempt', async () =>
          (await listed(transactionUid)).find((one) => one.attempts > 0),
        )
        assert.deepEqual([waiting.state, waiting.committed], ['answered', 1])
        assert.match(waiting.trouble, behaviour === 'reject' ? /rejected/ : /SCP/)
        assert.equal(
          listener.reports.some((one) => one.transactionUid === transactionUid),
          false,
        )
        listener.behaviour = 'take'
        assert.deepEqual((await reported(transactionUid)).committed, [instance.sopInstanceUid])
      }
    })
  })

  it('shows requests and results, and counts them', async () => {
    const page = json<{ commitments: Listed[]; next: number | null }>(
      await get(`${firn.url}/api/v1/commitments?limit=2`),
    )
    assert.equal(page.commitments.length, 2)
    const [newest] = page.commitments as [Listed]
    assert.equal(page.next, page.commitments[1]?.id)
    const url = `${firn.url}/api/v1/commitments/${newest.id}/references`
    const { references } = json<{ references: { verdict: string }[] }>(await get(url))
    assert.equal(references.length, newest.committed + newest.failed)
    assert.equal((await get(`${firn.url}/api/v1/commitments/999999/references`)).status, 404)
    const metrics = (await get(`${firn.url}/metrics`)).bytes.toString()
    assert.match(metrics, /firn_commitment_references_total\{verdict="committed"\} [1-9]/)
    assert.match(metrics, /firn_commitment_reports_total\{outcome="later"\} [1-9]/)
  })
})
