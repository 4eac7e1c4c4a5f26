import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Element, elements, parseXml, schemaFaults } from '../../test/support/audit-schema.ts'
import { parseSyslog } from '../../test/support/syslog.ts'
import type { Event } from '../events/event.ts'
import type { DataOf, Kind } from '../events/kinds.ts'
import { counted, syslogMessage } from './frame.ts'
import { messagesOf } from './messages.ts'
import type { StudySubject } from './ports.ts'

const ACTOR = { name: 'Dr. <"Ä&\u0001B">', role: 'read', from: '10.0.0.7' }
const SUBJECT: StudySubject = {
  patientId: 'P&1',
  issuer: 'KH',
  patientName: 'Müller^A\u0007',
  accession: 'A 1',
  sopClasses: ['1.2.840.10008.5.1.4.1.1.2'],
}

function event<K extends Kind>(kind: K, data: DataOf<K>, over: Partial<Event> = {}): Event {
  const at = '2026-11-24T19:53:38.687Z'
  const place = { seq: 7, hash: 'a'.repeat(64), prev: 'b'.repeat(64), site: 'north', generation: 'g', at }
  return { ...place, kind, actor: ACTOR, subject: { study: '1.2.3' }, data: data as Event['data'], ...over }
}

async function made(one: Event, found: StudySubject | undefined = SUBJECT): Promise<Element[]> {
  const source = { id: 'FIRN@host', enterpriseSiteId: 'Haus 3' }
  const subjects = { study: async () => found }
  const messages = await messagesOf({ source, aeTitle: 'FIRN', host: 'host', subjects })(one)
  return messages.map(({ xml }) => {
    const message = parseXml(xml)
    assert.deepEqual(schemaFaults(message), [], xml)
    return message
  })
}

const codeOf = (message: Element, name = 'EventID') => elements(message, name)[0]?.attributes['csd-code']
const outcomes = (messages: readonly Element[]) =>
  messages.map((message) => elements(message, 'EventIdentification')[0]?.attributes.EventOutcomeIndicator)
const read = { service: 'wado-rs', instances: 3, bytes: 10, complete: true }
const received = { service: 'c-store', instances: 2, bytes: 5, duplicates: 0, conflicts: 0, refused: 0, complete: true }
const denied = (reason: string) =>
  event('access.denied', { service: 'dimse', reason, requests: 4, since: '2026-11-24T19:00:00.000Z' })

const CASES: [string, Event, string[]][] = [
  ['instances that go out', event('access.read', read), ['110104']],
  ['frames', event('access.read', { ...read, service: 'frames', frames: 4 }), ['110103']],
  ['a ZIP', event('access.read', { ...read, service: 'zip' }), ['110106']],
  ['a C-MOVE', event('access.read', { ...read, service: 'c-move', destination: 'WS1' }), ['110104']],
  [
    'some that went out and some that did not',
    event('access.read', { ...read, complete: false }),
    ['110104', '110104'],
  ],
  ['nothing that went out', event('access.read', { ...read, instances: 0, complete: false, status: 404 }), ['110104']],
  ['a transfer that begins', event('access.began', { service: 'c-get', instances: 3, destination: 'WS1' }), ['110102']],
  [
    'a QIDO-RS query',
    event('access.query', { service: 'qido-rs', level: 'study', keys: ['00100010'], matches: 1 }),
    ['110112'],
  ],
  ['what came', event('study.received', received), ['110104']],
  ['what came and what was refused', event('study.received', { ...received, refused: 1 }), ['110104', '110104']],
  ['what was imported', event('study.received', { ...received, service: 'import' }), ['110107']],
  ['a bad token', denied('no valid token'), ['110114']],
  ['an AE title that is not admitted', denied('the calling AE title is not admitted'), ['110113']],
  ['the trail read', event('audit.read', { service: 'api', filter: [], events: 3 }), ['110101']],
  [
    'the trail broken',
    event('audit.lost', { events: 3, since: '2026-11-24T19:00:00.000Z', until: '2026-11-24T19:01:00.000Z' }),
    ['110113'],
  ],
  ['an administrator', event('admin.called', { method: 'POST', route: '/x', status: 500 }), ['110113']],
  ['a token', event('token.created', { token: 'a', name: 'b', roles: ['read'] }), ['110113']],
  ['another configuration', event('config.changed', { keys: ['a.b'], digest: 'a'.repeat(64) }), ['110113']],
  ['a hold', event('hold.released', { reason: 'x', approvedBy: 'y' }), ['110113']],
  ['the start', event('site.started', { version: '1' }, { subject: {} }), ['110100']],
  ['the stop', event('site.stopped', {}, { subject: {} }), ['110100']],
  [
    'a study that was destroyed',
    event('disposition.destroyed', { proposal: 1, instances: 2, bytes: 3, digest: 'a'.repeat(64), receipts: {} }),
    ['110105'],
  ],
  ['what DICOM has no word for', event('pack.sealed', { sizeBytes: 1, instances: 1 }), []],
  ['what a newer version wrote', { ...event('site.stopped', {}), kind: 'moon.phase' }, []],
]

for (const [what, one, codes] of CASES) {
  test(`${what}: valid by the schema, and with the standard's code`, async () => {
    for (const found of [SUBJECT, undefined]) {
      const messages = await made(one, found)
      assert.deepEqual(
        messages.map((message) => codeOf(message)),
        codes,
      )
      for (const message of messages)
        assert.equal(elements(message, 'AuditSourceIdentification')[0]?.attributes.AuditSourceID, 'FIRN@host')
    }
  })
}

test('what was sent in part makes a message of success and one of failure (Table A.5.2-1)', async () => {
  assert.deepEqual(outcomes(await made(event('access.read', { ...read, complete: false }))), ['0', '4'])
  assert.deepEqual(outcomes(await made(event('study.received', { ...received, refused: 2 }))), ['0', '4'])
})

test('a C-MOVE names who asked, who sends and who gets it (Table A.5.3.7-1)', async () => {
  const [message] = await made(event('access.read', { ...read, service: 'c-move', destination: 'WS1' }))
  const people = elements(message as Element, 'ActiveParticipant').map((one) => [
    one.attributes.UserID,
    codeOf(one, 'RoleIDCode'),
    one.attributes.UserIsRequestor,
  ])
  assert.deepEqual(people, [
    ['FIRN@host', '110153', 'false'],
    ['WS1', '110152', 'false'],
    ['Dr. <"Ä&\ufffdB">', undefined, 'true'],
  ])
})

test('a C-FIND carries its keys as a data set without values (Table A.5.3.10-1)', async () => {
  const keys = ['0020000D', '00100010', '00400275.00400007']
  const [message] = await made(
    event('access.query', { service: 'c-find', level: 'study', keys, matches: 1, sopClass: '1.2.840' }),
  )
  const query = Buffer.from(elements(message as Element, 'ParticipantObjectQuery')[0]?.text ?? '', 'base64')
  // (0008,0052) STUDY, (0010,0010), (0020,000D), (0040,0275) in implicit VR little endian.
  assert.equal(query.toString('hex'), '0800520006000000535455445920100010000000000020000d00000000004000750200000000')
  const detail = elements(message as Element, 'ParticipantObjectDetail')[0]?.attributes
  assert.deepEqual(
    [detail?.type, Buffer.from(detail?.value ?? '', 'base64').toString()],
    ['TransferSyntax', '1.2.840.10008.1.2'],
  )
})

test('the sum of several accesses has the time of the first', async () => {
  const [message] = await made(event('access.read', { ...read, requests: 9, since: '2026-11-24T19:00:00.000Z' }))
  assert.equal(
    elements(message as Element, 'EventIdentification')[0]?.attributes.EventDateTime,
    '2026-11-24T19:00:00.000Z',
  )
})

test('a frame says how many octets it has, not how many characters', () => {
  const one = { at: '2026-11-24T19:53:38.687Z', failed: true, seq: 2_147_483_648, hash: 'c'.repeat(64), xml: '<ä/>' }
  const message = syslogMessage(one, { host: 'hö st', processId: 4 })
  const frame = counted(message).toString()
  assert.equal(Number(frame.split(' ')[0]), Buffer.byteLength(frame) - frame.indexOf(' ') - 1)
  const parsed = parseSyslog(message.toString())
  assert.deepEqual(
    [parsed.pri, parsed.host, parsed.event, parsed.xml],
    [84, 'hst', `2147483648:${'c'.repeat(64)}`, '<ä/>'],
  )
  assert.match(message.toString(), /\[meta sequenceId="1"\]/)
})
