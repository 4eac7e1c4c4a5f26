import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import { transferSyntaxes } from '../fixtures/dicom.ts'
import { checkStudies } from '../support/check.ts'
import { Association, PduSocket, VERIFICATION } from '../support/dimse.ts'
import { Firn } from '../support/firn.ts'
import { Ledger, Load } from '../support/load.ts'
import { newSeed, Random } from '../support/random.ts'
import { until, within } from '../support/until.ts'

const random = new Random(newSeed())

/** A STOW-RS request that stays in the middle of its body. */
async function hangingRequest(firn: Firn) {
  const socket = connect(firn.httpPort, '127.0.0.1')
  socket.on('error', () => {})
  const type = 'multipart/related; type="application/dicom"; boundary=x'
  const head = `POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: 99999\r\n\r\n--x\r\n\r\n`
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', () => socket.write(head, () => resolve())).once('error', reject)
  })
  return socket
}

describe(`shutdown (seed ${random.seed})`, () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`${signal} under load: exit 0 within 10 s, and nothing acknowledged is lost`, async () => {
      const firn = await Firn.start()
      try {
        const ledger = new Ledger()
        const load = new Load(firn, random, ledger, {
          stowWorkers: 3,
          storeWorkers: 3,
          sizesBytes: [10, 30_000, 5_000_000],
        })
        load.start()
        await until('some acknowledgements', () => ledger.acknowledged > 30)
        firn.signal(signal)
        const end = await within(`ending after ${signal}`, 10_000, firn.ended())
        await load.stop()
        assert.equal(end.code, 0, `${end.signal}`)
        await firn.start()
        assert.deepEqual(await checkStudies(firn, ledger, ledger.byStudy.keys()), [])
      } finally {
        await firn.kill()
      }
    })
  }

  it('an idle server with open connections and associations ends at once', async () => {
    const firn = await Firn.start()
    const proposals = [{ sopClassUid: VERIFICATION, transferSyntaxUids: [transferSyntaxes.implicitLittle] }]
    const associations = [
      await Association.open(firn.dimsePort, proposals),
      await Association.open(firn.dimsePort, proposals),
    ]
    const half = await PduSocket.open(firn.dimsePort)
    await (await firn.get('/health/live')).text()
    firn.signal('SIGTERM')
    const end = await within('ending', 10_000, firn.ended())
    assert.equal(end.code, 0)
    for (const association of associations) association.destroy()
    half.destroy()
  })

  it('a request that never ends does not hold it beyond 10 s', async () => {
    const firn = await Firn.start()
    const socket = await hangingRequest(firn)
    firn.signal('SIGTERM')
    const end = await within('ending', 11_000, firn.ended())
    assert.equal(end.code, 0)
    socket.destroy()
  })

  it('a second signal ends it at once', async () => {
    const firn = await Firn.start()
    const socket = await hangingRequest(firn)
    firn.signal('SIGTERM')
    // The first signal has been seen when no new connection is taken.
    await until('that new work is refused', async () => {
      const answer = await fetch(`${firn.url}/health/ready`).catch(() => undefined)
      return answer === undefined || answer.status === 503
    })
    if (firn.alive) {
      firn.signal('SIGTERM')
      await within('ending after the second signal', 2_000, firn.ended())
    }
    socket.destroy()
  })

  it('starts again and again on the same data, each time with exit 0', async () => {
    const firn = await Firn.prepare()
    for (let n = 0; n < 3; n++) {
      await firn.start()
      assert.equal((await firn.stop(10_000)).code, 0)
    }
  })
})
