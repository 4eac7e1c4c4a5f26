/**
 * Retention over a large catalogue: the first evaluation of everything, a nightly one, and what an officer asks. Studies are
 * written into the catalogue's tables directly; what is measured reads and writes as a node does.
 *
 *   node --import tsx bench/retention-node.ts [--studies 1000000] [--changed 5000] [--asked 500]
 */
import '../test/property/ts-workers.ts'
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import createKnex from 'knex'
import { KnexCatalogue } from '../service/catalogue/knex/catalogue.ts'
import { retentionConfig } from '../service/config/retention.ts'
import { EventLog } from '../service/events/log.ts'
import { Projector } from '../service/events/projector.ts'
import { ComplianceClock } from '../service/retention/clock.ts'
import { StudyGuard } from '../service/retention/guard.ts'
import { Retention } from '../service/retention/retention.ts'

const { values } = parseArgs({
  options: {
    studies: { type: 'string', default: '1000000' },
    changed: { type: 'string', default: '5000' },
    asked: { type: 'string', default: '500' },
  },
})
const studies = Number(values.studies)
const changed = Number(values.changed)
const asked = Number(values.asked)
const dir = mkdtempSync(join(tmpdir(), 'firn-retention-'))
const warn = (message: string, details: object): void => console.error(message, details)

/** Two studies a patient, one instance each, over forty years. */
async function fill(): Promise<void> {
  const knex = createKnex({
    client: 'sqlite3',
    connection: { filename: join(dir, 'catalogue.sqlite') },
    useNullAsDefault: true,
  })
  const number = (limit: number) => `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${limit})`
  const day = "strftime('%Y%m%d', '1986-01-01', '+' || (i % 14000) || ' days')"
  await knex.raw("INSERT INTO sources (protocol, name, address) VALUES ('dimse', 'CT1', '10.0.0.1')")
  await knex.raw(
    `${number(Math.ceil(studies / 2))} INSERT INTO patients (id, identity, patient_id, attributes)
     SELECT i, 'id \\P' || i, 'P' || i, '{}' FROM n`,
  )
  const attributes = `'{"00080020":{"vr":"DA","Value":["' || ${day} || '"]},"00100030":{"vr":"DA","Value":["19600229"]}}'`
  await knex.raw(
    `${number(studies)} INSERT INTO studies (id, uid, patient, patient_id, study_date, modalities, series_count,
       instance_count, bytes, first_received, last_received, attributes)
     SELECT i, '1.2.3.' || i, (i + 1) / 2, 'P' || ((i + 1) / 2), ${day}, '\\CT\\', 1, 1, 500000,
       '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z', ${attributes} FROM n`,
  )
  await knex.raw(
    `${number(studies)} INSERT INTO series (id, study, uid, modality, instance_count, bytes, attributes)
     SELECT i, i, '1.2.4.' || i, 'CT', 1, 500000, '{}' FROM n`,
  )
  await knex.raw(
    `${number(studies)} INSERT INTO instances (study, series, uid, sha256, digest_prefix, sop_class, transfer_syntax,
       size_bytes, data_set_offset, source, received, segment, segment_offset, position, attributes)
     SELECT i, i, '1.2.5.' || i, printf('%064x', i), i, '1.2.840.10008.5.1.4.1.1.2', '1.2.840.10008.1.2.1',
       500000, 400, 1, '2026-01-01T00:00:00.000Z', 1, i, 1, '{}' FROM n`,
  )
  await knex.destroy()
}

const touch = async (): Promise<void> => {
  const knex = createKnex({
    client: 'sqlite3',
    connection: { filename: join(dir, 'catalogue.sqlite') },
    useNullAsDefault: true,
  })
  const every = Math.max(1, Math.floor(studies / changed))
  await knex.raw(`UPDATE studies SET last_received = '2026-06-01T00:00:00.000Z' WHERE id % ${every} = 0`)
  await knex.destroy()
}

const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const started = performance.now()
  await work()
  return (performance.now() - started) / 1000
}

async function p95(work: (n: number) => Promise<unknown>): Promise<string> {
  const took: number[] = []
  for (let n = 0; n < asked; n++) took.push(1000 * (await seconds(() => work(n))))
  took.sort((a, b) => a - b)
  const at = (share: number) => (took[Math.floor(share * took.length)] ?? 0).toFixed(1)
  return `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms`
}

let peakBytes = 0
const watch = setInterval(() => {
  peakBytes = Math.max(peakBytes, process.memoryUsage.rss())
}, 200)
const mib = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MiB`
const say = (what: string, result: string): void => console.log(`${what.padEnd(44)} ${result}`)

try {
  await (await KnexCatalogue.open({ dataDir: dir })).close()
  say(`filling the catalogue, ${studies} studies`, `${(await seconds(fill)).toFixed(1)} s`)
  const catalogue = await KnexCatalogue.open({ dataDir: dir })
  mkdirSync(join(dir, 'events'))
  const events = await EventLog.open({ folder: join(dir, 'events'), site: 'bench', generation: 'bench' })
  const projector = new Projector({ catalogue, warn })
  await projector.catchUp(events)
  projector.follow(events)
  const clock = await ComplianceClock.open({
    path: join(dir, 'clock.json'),
    site: 'bench',
    remembered: undefined,
    warn,
  })
  const volume = { presets: ['de'], timeZone: 'Europe/Berlin' }
  const retention = new Retention({
    config: retentionConfig.parse({ volumes: { default: volume } }),
    ...{ catalogue, events, projector, clock, warn },
    stores: { all: [], get: () => undefined },
    guard: new StudyGuard(),
    clearLanding: undefined as never,
    forget: async () => undefined,
  })
  await retention.announce()
  peakBytes = 0
  const first = await seconds(() => retention.evaluator.run())
  const report = retention.evaluator.last
  say(`first evaluation, ${report?.decided} decisions`, `${first.toFixed(1)} s, peak ${mib(peakBytes)}`)
  await touch()
  peakBytes = 0
  const nightly = await seconds(() => retention.evaluator.run())
  say(
    `nightly, ${retention.evaluator.last?.studies} studies looked at`,
    `${nightly.toFixed(1)} s, peak ${mib(peakBytes)}`,
  )
  const page = { limit: 100 }
  const month = (n: number) => `20${56 + (n % 8)}-0${1 + (n % 9)}`
  say(
    'what expires in a month, 100 of them',
    await p95((n) => retention.catalogue.expiring(`${month(n)}-01`, `${month(n)}-31`, page)),
  )
  say('why and until when', await p95((n) => retention.explain(`1.2.3.${1 + ((n * 7919) % studies)}`, 'en')))
  peakBytes = 0
  let rows = 0
  const all = await seconds(async () => {
    for await (const _ of retention.catalogue.report()) rows += 1
  })
  say(`report, ${rows} rows`, `${all.toFixed(1)} s, peak ${mib(peakBytes)}`)
  say('catalogue', mib(statSync(join(dir, 'catalogue.sqlite')).size))
  await clock.close()
  await events.close()
  await projector.close()
  await catalogue.close()
} finally {
  clearInterval(watch)
  rmSync(dir, { recursive: true, force: true })
}
