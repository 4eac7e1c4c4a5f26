// What placement, planning of moves and capacity cost with many packs, in a catalogue that is made up row by row:
//   node --import tsx bench/tiers.ts
// It checks that they don't cost more with more packs, and that memory stays below 500 MB.
import '../test/property/ts-workers.ts'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import createKnex from 'knex'
import { KnexCatalogue } from '../service/catalogue/knex/catalogue.ts'
import type { MoveRule } from '../service/config/tiers.ts'
import { Placement } from '../service/lifecycle/placement.ts'
import { capacityOf } from '../service/lifecycle/tiers/capacity.ts'
import { Mover } from '../service/lifecycle/tiers/mover.ts'
import { sameEverywhere, Tiers } from '../service/lifecycle/tiers/tiers.ts'
import { MemoryStore } from '../storage-adapters/memory/memory.ts'
import { storesOf } from '../test/property/stores.ts'

const PER_PACK = 100
const RULES: MoveRule[] = [{ to: 'nearline', afterDays: 3650, since: 'study' }]
const NUMBERS = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)'

/** Each study has one series, one pack with two copies, and 100 instances; a third of them is more than ten years old. */
async function makeUp(file: string, packs: number): Promise<void> {
  const knex = createKnex({
    client: 'sqlite3',
    connection: { filename: file },
    useNullAsDefault: true,
    pool: { min: 1, max: 1 },
  })
  const day = "strftime('%Y%m%d', '2011-01-01', '+' || (i * 7919 % 5475) || ' days')"
  const at = "'2026-01-01T00:00:00.000Z'"
  const fill = (sql: string, count = packs) => knex.raw(sql.replace('NUMBERS', NUMBERS), [count])
  await knex.raw("INSERT INTO sources (id, protocol, name, address) VALUES (1, 'dimse', 'CT1', '')")
  await fill(`INSERT INTO patients (id, identity, patient_id, attributes) NUMBERS SELECT i, 'id ' || i, i, '{}' FROM n`)
  await fill(`INSERT INTO studies (id, uid, patient, study_date, modalities, series_count, instance_count, bytes,
    first_received, last_received, attributes) NUMBERS
    SELECT i, '1.2.840.5.' || i, i, ${day}, '\\CT\\', 1, ${PER_PACK}, 5e7, ${at}, ${at}, '{}' FROM n`)
  await fill(`INSERT INTO series (id, study, uid, modality, instance_count, bytes, attributes) NUMBERS
    SELECT i, i, '1.2.840.6.' || i, 'CT', ${PER_PACK}, 5e7, '{}' FROM n`)
  await fill(`INSERT INTO packs (id, study_uid, key, sha256, size_bytes, instance_count, payload_bytes, sealed_at) NUMBERS
    SELECT i, '1.2.840.5.' || i, 'packs/' || i || '.tar', printf('%064d', i), 5e7, ${PER_PACK}, 5e7, ${at} FROM n`)
  for (const store of ['fast-1', 'fast-2']) {
    await fill(`INSERT INTO pack_copies (pack, store, verified_at) NUMBERS SELECT i, '${store}', ${at} FROM n`)
  }
  await fill(
    `INSERT INTO instances (id, study, series, uid, sha256, digest_prefix, size_bytes, data_set_offset, source, received,
      segment, segment_offset, position, attributes, pack, pack_offset) NUMBERS
      SELECT i, 1 + i / ${PER_PACK} % ${packs}, 1 + i / ${PER_PACK} % ${packs}, '1.2.840.7.' || i, printf('%064d', i),
      i, 5e5, 300, 1, ${at}, 0, 0, i, '{}', 1 + i / ${PER_PACK} % ${packs}, 5000 FROM n`,
    packs * PER_PACK,
  )
  await knex.destroy()
}

async function measure(packs: number): Promise<Record<string, number>> {
  const dataDir = mkdtempSync(join(tmpdir(), 'firn-bench-tiers-'))
  try {
    await (await KnexCatalogue.open({ dataDir })).close()
    await makeUp(join(dataDir, 'catalogue.sqlite'), packs)
    const catalogue = await KnexCatalogue.open({ dataDir })
    const adapters = ['fast-1', 'fast-2', 'slow-1', 'slow-2'].map((id) => new MemoryStore({ id }))
    const stores = storesOf(
      adapters,
      new Map(),
      new Map([
        ['slow-1', 'nearline'],
        ['slow-2', 'nearline'],
      ]),
    )
    const tiers = new Tiers(stores, sameEverywhere({ copies: 2, reserveShare: 0.05 }))
    const placement = new Placement(tiers, () => catalogue.drainingStores())
    const none = () => Promise.reject(new Error('nothing is moved here'))
    const mover = new Mover({
      catalogue: catalogue.tiers,
      packs: catalogue,
      tiers,
      copies: { add: none, free: none },
      events: { append: none },
      config: { rules: RULES, bytesPerSecond: 1e12, everySeconds: 1e6 },
      warn: () => undefined,
    })
    const timed = async (times: number, act: () => Promise<unknown>): Promise<number> => {
      const started = performance.now()
      for (let n = 0; n < times; n++) await act()
      return (performance.now() - started) / times
    }
    const capacity = () =>
      capacityOf({ tiers, catalogue: catalogue.tiers, packs: catalogue, volumes: [], isConfigured: () => true })
    const planMs = await timed(1, () => mover.plan())
    const planned = (await mover.plan()).packs
    const due = await catalogue.tiers.packsToLook('2026-01-01', { limit: packs })
    await catalogue.tiers.setNextLooks(due.map(({ pack }) => ({ pack: pack.id, day: '2030-01-01' })))
    const result = {
      packs,
      planned,
      'placement of a pack, ms': await timed(500, () => placement.choose(5e7, new Set())),
      'capacity, ms': await timed(50, capacity),
      'what is held, ms': await timed(200, () => catalogue.holdings()),
      'a first plan that looks at all, ms per pack': planMs / packs,
      'a run with nothing due, ms': await timed(200, () => catalogue.tiers.packsToLook('2026-01-01', { limit: 100 })),
      'a further pack, ms': await timed(100, async () => {
        const name = Math.random().toString(36).slice(2)
        await catalogue.addPack({
          studyUid: '1.2.840.5.1',
          key: `packs/${name}.tar`,
          sha256: '0'.repeat(64),
          sizeBytes: 1,
          sealedAt: '2026-01-01T00:00:00.000Z',
          copies: [{ store: 'fast-1', verifiedAt: '2026-01-01T00:00:00.000Z' }],
          instances: [],
        })
      }),
    }
    await catalogue.close()
    return result
  } finally {
    rmSync(dataDir, { recursive: true })
  }
}

const small = await measure(1_000)
const large = await measure(10_000)
for (const name of Object.keys(large)) {
  console.log(name.padEnd(46), (small[name] ?? 0).toFixed(3).padStart(12), (large[name] ?? 0).toFixed(3).padStart(12))
}
const resident = Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024
console.log(`resident at most ${Math.round(resident / 1e6)} MB`)
if (resident > 500e6) process.exitCode = 1
