import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { openLog, started } from '../../test/property/events.ts'
import { tempDir } from '../../test/support/host.ts'
import type { Event } from './event.ts'
import { Projector } from './projector.ts'
import { readLog } from './read.ts'

/** A catalogue that keeps what it is given, and refuses it as often as wanted. */
function fakeCatalogue(projected: (kind: string) => boolean = () => true) {
  const seen: number[] = []
  const cursors = new Map<string, number>()
  const catalogue = {
    seen,
    cursors,
    refusals: 0,
    isProjected: projected,
    projectedUpTo: async (site: string) => cursors.get(site) ?? 0,
    async project(site: string, events: readonly Event[], upTo: number) {
      if (catalogue.refusals > 0) {
        catalogue.refusals -= 1
        throw new Error('no room')
      }
      seen.push(...events.map(({ seq }) => seq))
      cursors.set(site, upTo)
    },
  }
  return catalogue
}

const quiet = { warn: () => undefined, pauseMs: 5 }

describe('projector', () => {
  test('catches up, follows, and lets a caller wait for its own event', async () => {
    const log = await openLog(tempDir('projector'))
    const catalogue = fakeCatalogue()
    await log.append(started, started)
    const projector = new Projector({ catalogue, ...quiet })
    await projector.catchUp(log)
    assert.deepEqual(catalogue.seen, [1, 2])
    projector.follow(log)
    const [head] = await log.append(started)
    await projector.upTo(log.site, head?.seq ?? 0)
    assert.deepEqual(catalogue.seen, [1, 2, 3])
    await log.close()
    await projector.close()
  })

  test('goes on where another one ended, and each event counts once', async () => {
    const log = await openLog(tempDir('projector'))
    const catalogue = fakeCatalogue()
    for (let run = 0; run < 3; run++) {
      await log.append(started)
      const projector = new Projector({ catalogue, ...quiet })
      await projector.catchUp(log)
      await projector.close()
    }
    assert.deepEqual(catalogue.seen, [1, 2, 3])
    await log.close()
  })

  test('a catalogue that fails is tried again; who waits is told, the event is not lost', async () => {
    const log = await openLog(tempDir('projector'))
    const catalogue = fakeCatalogue()
    const projector = new Projector({ catalogue, ...quiet })
    await projector.catchUp(log)
    catalogue.refusals = 2
    projector.follow(log)
    const [head] = await log.append(started)
    await assert.rejects(projector.upTo(log.site, head?.seq ?? 0), { code: 'catalogue_failed' })
    for (let tries = 0; projector.troubles.length > 0 && tries < 500; tries++)
      await new Promise((r) => setTimeout(r, 5))
    await projector.upTo(log.site, head?.seq ?? 0)
    assert.deepEqual(catalogue.seen, [1])
    await log.close()
    await projector.close()
  })

  test('what the catalogue has no use for costs no transaction, and its number is kept in the end', async () => {
    const log = await openLog(tempDir('projector'))
    const catalogue = fakeCatalogue(() => false)
    let transactions = 0
    const { project } = catalogue
    catalogue.project = async (...all) => {
      transactions += 1
      return project(...all)
    }
    const projector = new Projector({ catalogue, ...quiet })
    await projector.catchUp(log)
    projector.follow(log)
    for (let n = 0; n < 20; n++) await log.append(started)
    await projector.upTo(log.site, 20)
    await log.close()
    await projector.close()
    assert.deepEqual([transactions, catalogue.seen, catalogue.cursors.get(log.site)], [1, [], 20])
  })

  test('a log that was cut is not gone on with', async () => {
    const log = await openLog(tempDir('projector'))
    const catalogue = fakeCatalogue()
    catalogue.cursors.set(log.site, 7)
    const projector = new Projector({ catalogue, ...quiet })
    await assert.rejects(projector.catchUp(log), /event 7, the log ends at 0/)
    await assert.rejects(projector.upTo('another', 1), { code: 'unavailable' })
    await log.close()
    await projector.close()
  })

  test("another site's files are taken up too", async () => {
    const folder = tempDir('projector')
    const log = await openLog(folder)
    await log.append(started, started)
    await log.close()
    const catalogue = fakeCatalogue()
    const projector = new Projector({ catalogue, ...quiet })
    for (let run = 0; run < 2; run++) await projector.take('other', (after) => readLog(folder, after))
    assert.deepEqual([catalogue.seen, catalogue.cursors.get('other')], [[1, 2], 2])
    await projector.close()
  })
})
