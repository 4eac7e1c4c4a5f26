// The audit trail's cost: saying it, indexing it, asking for it.
//   node --import tsx bench/audit.ts [EVENTS]
import '../test/property/ts-workers.ts'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AuditFilter } from '../service/audit/ports.ts'
import { Trail } from '../service/audit/trail.ts'
import { KnexCatalogue } from '../service/catalogue/knex/catalogue.ts'
import type { Event } from '../service/events/event.ts'

const events = Number(process.argv[2] ?? 200_000)
const BATCH = 5000
const QUESTIONS = 60

function event(seq: number): Event {
  const isQuery = seq % 50 === 0
  const query = { service: 'qido-rs', level: 'study', keys: [], matches: 1 }
  const read = { service: 'frames', instances: 1, bytes: 2, complete: true }
  return {
    ...{ seq, site: 'north', hash: 'a'.repeat(64), prev: 'b'.repeat(64), generation: 'g' },
    kind: isQuery ? 'access.query' : 'access.read',
    at: new Date(1.7e12 + seq * 100).toISOString(),
    actor: { name: `user ${seq % 40}`, role: 'read', from: '10.0.0.7' },
    subject: { study: `1.2.${seq % 20_000}` },
    data: isQuery ? query : read,
  }
}

const per = (ms: number, count: number): string => `${((ms * 1000) / count).toFixed(1)} us`

function say(): void {
  const trail = new Trail({ record() {}, windowMs: 60_000, refusal: () => undefined })
  const who = { name: 'm.huber', role: 'read', from: '10.0.0.7', token: '0123456789ab' }
  const started = performance.now()
  for (let n = 0; n < events; n++) {
    trail.read(who, { service: 'frames', studyUid: `1.2.${n % 300}`, instances: 1, bytes: 1, complete: true })
  }
  console.log(`saying it: ${per(performance.now() - started, events)} each`)
  trail.close()
}

async function ask(catalogue: KnexCatalogue, what: string, filter: (n: number) => AuditFilter): Promise<void> {
  const times: number[] = []
  for (let n = 0; n < QUESTIONS; n++) {
    const started = performance.now()
    await catalogue.audit(filter(n), { limit: 100 })
    times.push(performance.now() - started)
  }
  times.sort((a, b) => a - b)
  const at = (share: number): string => `${times[Math.floor(share * QUESTIONS)]?.toFixed(1)} ms`
  console.log(`${what}: p50 ${at(0.5)}, p95 ${at(0.95)}`)
}

const dataDir = mkdtempSync(join(tmpdir(), 'firn-bench-'))
try {
  say()
  const catalogue = await KnexCatalogue.open({ dataDir })
  const started = performance.now()
  for (let first = 1; first <= events; first += BATCH) {
    const some = Array.from({ length: BATCH }, (_, n) => event(first + n))
    await catalogue.project('north', some, first + BATCH - 1)
  }
  const bytes = statSync(join(dataDir, 'catalogue.sqlite')).size
  console.log(`indexing it: ${per(performance.now() - started, events)} and ${Math.round(bytes / events)} bytes each`)
  await ask(catalogue, 'of one study', (n) => ({ study: `1.2.${n}` }))
  await ask(catalogue, 'of one person', (n) => ({ actor: `user ${n % 40}` }))
  await ask(catalogue, 'of one person, a kind that he never had', (n) => ({
    actor: `user ${n % 40}`,
    kind: 'token.created',
  }))
  await ask(catalogue, 'since a time', (n) => ({ from: new Date(1.7e12 + n * 100).toISOString() }))
  await ask(catalogue, 'the newest', () => ({}))
  await catalogue.close()
} finally {
  rmSync(dataDir, { recursive: true })
}
