import type { Request, RequestHandler, Response } from 'express'
import type { AuditTrail, Person, Place } from '../audit/ports.ts'
import type { InstanceRecord } from '../catalogue/ports.ts'
import { isUid } from '../dicom/uids.ts'
import { ArchiveError } from '../errors.ts'
import type { Receipt } from '../ingest/ports.ts'
import { addressOf, callerOf, claimedTokenOf } from './auth.ts'

/** What is known of a request by the time it is over: handlers note it on the way. */
interface Notes {
  kind: 'read' | 'query' | 'store' | 'call' | 'trail' | 'none'
  service: string
  place: Place
  instances: number
  frames: number
  level: string
  keys: readonly string[]
  matches: number
  receipts: readonly Receipt[]
  refused: number
  /** What was to be done came to its end; else the status of the answer decides. */
  complete: boolean
  route: string
  /** What the path of a call names; Express forgets it when a handler fails. */
  subject: Readonly<Record<string, string>>
}

const noted = new WeakMap<Request, Notes>()

function notesOf(req: Request): Notes {
  const notes = noted.get(req)
  if (notes) return notes
  const empty: Notes = {
    kind: 'none',
    service: '',
    place: {},
    instances: 0,
    frames: 0,
    level: '',
    keys: [],
    matches: 0,
    receipts: [],
    refused: 0,
    complete: true,
    route: '',
    subject: {},
  }
  noted.set(req, empty)
  return empty
}

export function personOf(req: Request): Person {
  const { name, roles, id } = callerOf(req)
  // Where no token is needed everybody may do everything, and has no role.
  const role = id === undefined ? '' : [...roles].join(',')
  return { name, role, from: addressOf(req), token: id ?? claimedTokenOf(req) }
}

/** Tells the trail of each request when it is over. The trail writes it down behind the answer. */
export function audited(trail: AuditTrail): RequestHandler {
  return (req, res, next) => {
    const { socket } = req
    const before = socket.bytesWritten
    res.once('close', () => tell(trail, req, res, socket.bytesWritten - before))
    next()
  }
}

/** Says of what kind a route's requests are, and refuses reads where the trail must be kept and can't. */
export function noting(trail: AuditTrail, kind: 'read' | 'query' | 'store', service: string): RequestHandler {
  return (req, _res, next) => {
    const { study, series, instance } = req.params as Record<string, string | undefined>
    const place: Place = {}
    if (study !== undefined && isUid(study)) place.studyUid = study
    if (series !== undefined && isUid(series)) place.seriesUid = series
    if (instance !== undefined && isUid(instance)) place.sopInstanceUid = instance
    Object.assign(notesOf(req), { kind, service, place })
    if (kind !== 'store' && trail.refusal !== undefined) throw new ArchiveError('unavailable', trail.refusal)
    next()
  }
}

/** The same for a route of the own API, named as it is declared. */
export function notingCall(trail: AuditTrail, method: string, route: string): RequestHandler {
  return (req, _res, next) => {
    const isChange = method !== 'get'
    const kind = isChange ? 'call' : route === '/audit' ? 'trail' : UNAUDITED.has(route) ? 'none' : 'query'
    const keys = Object.keys(req.query).slice(0, 20)
    Object.assign(notesOf(req), { kind, service: 'api', level: route, route, keys, subject: subjectOf(req) })
    if (kind === 'query' && trail.refusal !== undefined) throw new ArchiveError('unavailable', trail.refusal)
    next()
  }
}

/** What tells nothing of any patient or study, and is asked again and again by monitoring. */
const UNAUDITED: ReadonlySet<string> = new Set([
  '/status',
  '/capacity',
  '/scrub',
  '/stores/{store}/drain',
  '/stores/{store}/drain/plan',
])

/** An instance's bytes go out, or frames or other parts of it. */
export function noteInstance(req: Request, { studyUid, seriesUid, sopInstanceUid }: InstanceRecord, frames = 0): void {
  const notes = notesOf(req)
  notes.instances += 1
  notes.frames += frames
  // Where the path doesn't say which study it is.
  if (notes.place.studyUid === undefined) notes.place = { studyUid, seriesUid, sopInstanceUid }
}

export function noteService(req: Request, service: string): void {
  notesOf(req).service = service
}

/** An answer of metadata tells of so many instances. */
export function noteInstances(req: Request, instances: number): void {
  notesOf(req).instances = instances
}

export function noteQuery(req: Request, level: string, keys: readonly string[], matches: number): void {
  Object.assign(notesOf(req), { level, keys, matches })
}

export function noteMatches(req: Request, answer: unknown): void {
  const list = Object.values(Object(answer)).find(Array.isArray)
  notesOf(req).matches = list?.length ?? 1
}

export function noteStored(req: Request, receipts: readonly Receipt[], refused: number, complete: boolean): void {
  Object.assign(notesOf(req), { receipts, refused, complete })
}

function tell(trail: AuditTrail, req: Request, res: Response, bytes: number): void {
  const who = personOf(req)
  const reason = denial(req, res)
  if (reason !== undefined) trail.denied(who, { service: areaOf(req), reason })
  else tellDone(trail, req, res, who, bytes)
}

function tellDone(trail: AuditTrail, req: Request, res: Response, who: Person, bytes: number): void {
  const notes = notesOf(req)
  const { kind, service, place, level, keys, matches, route, instances, frames } = notes
  const complete = res.writableFinished && res.statusCode < 400
  if (kind === 'read') {
    trail.read(who, {
      ...place,
      service,
      instances,
      bytes,
      complete,
      ...(frames === 0 ? {} : { frames }),
      ...(res.statusCode === 200 ? {} : { status: res.statusCode }),
    })
  } else if (kind === 'query') trail.query(who, { service, level, keys, matches, complete })
  else if (kind === 'trail') trail.logRead(who, { service, filter: keys, events: matches })
  else if (kind === 'store') tellStored(trail, who, notes)
  else if (kind === 'call') {
    trail.called(who, { method: req.method, route, status: res.statusCode, subject: notes.subject })
  }
}

/** Why somebody was turned away; undefined when he wasn't. */
function denial(req: Request, res: Response): string | undefined {
  const { statusCode } = res
  if (statusCode === 401) return req.get('authorization') === undefined ? 'no token' : 'no valid token'
  if (statusCode === 403) return 'the token has not the role'
  if (statusCode === 421) return 'foreign Host name'
  if (statusCode === 429) return 'too many requests'
  return undefined
}

const AREAS: ReadonlyMap<string, string> = new Map([
  ['dicom-web', 'dicom-web'],
  ['wado', 'wado-uri'],
  ['api', 'api'],
  ['metrics', 'metrics'],
])

/** Never what the client typed. */
const areaOf = (req: Request): string => AREAS.get(req.originalUrl.split(/[/?]/)[1] ?? '') ?? 'http'

/** Nothing that could be a patient's name. */
const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/
/** As events call it. */
const SUBJECTS: Readonly<Record<string, string>> = { studyUid: 'study', sha256: 'digest' }

/** What the path of a call names. */
function subjectOf(req: Request): Record<string, string> {
  const named = Object.entries(req.params as Record<string, string>).filter(([, value]) => IDENTIFIER.test(value))
  return Object.fromEntries(named.map(([name, value]) => [SUBJECTS[name] ?? name, value]))
}

function tellStored(trail: AuditTrail, who: Person, { receipts, refused, complete, service }: Notes): void {
  const studies = new Map<string, Receipt[]>()
  for (const receipt of receipts) {
    const of = studies.get(receipt.studyUid)
    if (of) of.push(receipt)
    else studies.set(receipt.studyUid, [receipt])
  }
  const count = (some: readonly Receipt[], outcome: Receipt['outcome']): number =>
    some.filter((receipt) => receipt.outcome === outcome).length
  for (const [studyUid, some] of studies) {
    trail.received(who, {
      studyUid,
      service,
      instances: some.length,
      bytes: some.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      duplicates: count(some, 'duplicate'),
      conflicts: count(some, 'conflict'),
      refused: 0,
      complete,
    })
  }
  if (refused === 0 && (complete || studies.size > 0)) return
  const nothing = { instances: 0, bytes: 0, duplicates: 0, conflicts: 0 }
  trail.received(who, { service, ...nothing, refused, complete: false })
}
