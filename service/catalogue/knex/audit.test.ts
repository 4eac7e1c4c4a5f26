import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { databases, type Opened } from '../../../test/property/databases.ts'
import type { AuditFilter, AuditPlace } from '../../audit/ports.ts'
import type { Event } from '../../events/event.ts'

const KINDS = ['access.read', 'access.query', 'token.created'] as const
const DATA = {
  'access.read': { service: 'frames', instances: 1, bytes: 2, complete: true },
  'access.query': { service: 'qido-rs', level: 'study', keys: ['00100010'], matches: 3 },
  'token.created': { token: 'a', name: 'b', roles: ['read'] },
}

function event(seq: number, site: string): Event {
  const kind = KINDS[seq % 3] as (typeof KINDS)[number]
  return {
    ...{ seq, site, kind, hash: 'a'.repeat(64), prev: 'b'.repeat(64), generation: 'g', data: DATA[kind] },
    at: new Date(1_764_000_000_000 + Math.floor(seq / 4) * 1000).toISOString(),
    actor: { name: `user ${seq % 5}`, role: 'read', from: '10.0.0.7' },
    subject: seq % 2 === 0 ? { study: `1.2.${seq % 7}`, series: '1' } : {},
  }
}

for (const database of databases) {
  describe(`the audit trail's index on ${database.name}`, { skip: database.skip }, () => {
    let opened: Opened | undefined
    after(async () => {
      await opened?.close()
      await database.stop()
    })

    test('gives what the events say, by any filter and in pages of any size, each event once', async () => {
      opened = await database.open()
      const { catalogue } = opened
      const all = ['north', 'south'].flatMap((site) => Array.from({ length: 150 }, (_, n) => event(n + 1, site)))
      for (const site of ['north', 'south']) {
        const own = all.filter((one) => one.site === site)
        // The second time changes nothing.
        for (let again = 0; again < 2; again++) await catalogue.project(site, own, 150)
      }
      const order = (a: Event, b: Event) =>
        a.at === b.at ? (a.site === b.site ? b.seq - a.seq : a.site < b.site ? 1 : -1) : a.at < b.at ? 1 : -1
      const sorted = [...all].sort(order)
      const middle = all[70]?.at
      const filters: [AuditFilter, (one: Event) => boolean][] = [
        [{}, () => true],
        [{ study: '1.2.3' }, ({ subject }) => subject.study === '1.2.3'],
        [{ actor: 'user 2' }, ({ actor }) => actor.name === 'user 2'],
        [{ kind: 'access' }, ({ kind }) => kind.startsWith('access.')],
        [{ kind: 'token.created' }, ({ kind }) => kind === 'token.created'],
        [{ from: middle }, ({ at }) => at >= (middle as string)],
        [
          { to: middle, kind: 'access.read', actor: 'user 1' },
          ({ at, kind, actor }) => at < (middle as string) && kind === 'access.read' && actor.name === 'user 1',
        ],
        [
          { study: '1.2.3', actor: 'user 0' },
          ({ subject, actor }) => subject.study === '1.2.3' && actor.name === 'user 0',
        ],
        [{ study: "x' OR 1=1" }, () => false],
      ]
      for (const [filter, is] of filters) {
        for (const limit of [7, 1000]) {
          const found: { site: string; seq: number; actor: object; data: object }[] = []
          let before: AuditPlace | undefined
          do {
            const page = await catalogue.audit(filter, { limit, before })
            found.push(...page.events)
            before = page.next
          } while (before)
          const wanted = sorted.filter(is)
          assert.deepEqual(
            found.map(({ site, seq }) => [site, seq]),
            wanted.map(({ site, seq }) => [site, seq]),
            JSON.stringify(filter),
          )
          assert.deepEqual(found[0]?.data, wanted[0]?.data)
          assert.deepEqual(found[0]?.actor, wanted[0]?.actor)
        }
      }
    })
  })
}
