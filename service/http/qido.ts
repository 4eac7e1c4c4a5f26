import type { Request, RequestHandler } from 'express'
import type { MatchKey, Query, QueryLevel } from '../catalogue/ports.ts'
import { parseAttributeId } from '../dicom/dictionary.ts'
import { stringifyDicomJson } from '../dicom/json.ts'
import { LEVEL_TAGS } from '../dicom/levels.ts'
import type { DicomJson, Tag } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import { noteQuery } from './audit.ts'
import type { DicomWebContext } from './context.ts'
import { dataSetForm } from './negotiate.ts'
import { sendText, streamText } from './send.ts'
import { DICOM_WEB, originOf, type Resource, resourceOf, resourceUrl } from './urls.ts'
import { XML_PARTS, xmlParts } from './xml-parts.ts'

/** QIDO-RS (PS3.18 10.6) at one level; identifiers in the path are matching keys too. */
export function qido(context: DicomWebContext, level: Exclude<QueryLevel, 'patient'>): RequestHandler {
  return async (req, res) => {
    const form = dataSetForm(req)
    const within = resourceOf(req)
    const query = toQuery(req, level, within)
    const limit = Math.min(query.limit ?? context.resultsMax, context.resultsMax)
    const root = originOf(req, context.publicUrl) + DICOM_WEB
    const found: DicomJson[] = []
    let more = false
    // One more than wanted tells whether the answer is cut.
    for await (const match of context.catalogue.find({ ...query, limit: limit + 1 })) {
      if (found.length === limit) more = true
      else found.push(withRetrieveUrl(match, level, root))
    }
    if (more) {
      res.append(
        'Warning',
        `299 ${root} "The number of results exceeded the maximum supported by the server. Use offset."`,
      )
    }
    const keys = query.match.map(({ path }) => path.join('.'))
    noteQuery(req, level, keys, found.length)
    if (level === 'instance') await addFromHeaders(context, found, query.include, root)
    if (found.length === 0) {
      res.status(204).end()
      return
    }
    if (form === 'xml') return streamText(req, res, XML_PARTS, () => xmlParts(found))
    await sendText(req, res, 'application/dicom+json', `[${found.map(stringifyDicomJson).join(',')}]`)
  }
}

/** Attributes that the catalogue doesn't keep come from the instances' headers, which a study's metadata holds ready. */
async function addFromHeaders(
  { metadata }: DicomWebContext,
  found: readonly DicomJson[],
  include: Query['include'],
  root: string,
): Promise<void> {
  const wanted = include === 'all' ? undefined : include.filter((tag) => !CATALOGUED.has(tag))
  if (wanted?.length === 0) return
  for (const [studyUid, matches] of byStudy(found)) {
    const uids = new Set(matches.map((match) => uidOf(match, '00080018')))
    const headers = await metadata.instances(studyUid, uids, root)
    for (const match of matches) {
      const header = headers.get(uidOf(match, '00080018')) ?? {}
      for (const tag of wanted ?? Object.keys(header)) {
        if (header[tag] && !match[tag]) match[tag] = header[tag]
      }
    }
  }
}

const CATALOGUED: ReadonlySet<Tag> = new Set(Object.values(LEVEL_TAGS).flat())

function byStudy(found: readonly DicomJson[]): Map<string, DicomJson[]> {
  const studies = new Map<string, DicomJson[]>()
  for (const match of found) {
    const uid = uidOf(match, '0020000D')
    const matches = studies.get(uid)
    if (matches) matches.push(match)
    else studies.set(uid, [match])
  }
  return studies
}

const uidOf = (json: DicomJson, tag: Tag): string => String(json[tag]?.Value?.[0] ?? '')

function toQuery(req: Request, level: QueryLevel, within: Resource): Query {
  const query: Omit<Query, 'match' | 'include'> & { match: MatchKey[]; include: 'all' | Tag[] } = {
    level,
    match: pathKeys(within),
    include: [],
    fuzzy: false,
    ownLevelOnly: within.studyUid !== undefined && level !== 'study',
  }
  for (const [name, value] of parameters(req)) {
    if (name === 'accept') continue
    if (name === 'limit') query.limit = wholeNumber(name, value)
    else if (name === 'offset') query.offset = wholeNumber(name, value)
    else if (name === 'fuzzymatching') query.fuzzy = truth(name, value)
    else if (name === 'includefield') query.include = include(query.include, value)
    else {
      const key = matchKey(name, value)
      if (key) query.match.push(key)
      else if (query.include !== 'all') query.include.push(tagsOf(name)[0] as Tag)
    }
  }
  return query
}

/** From the URL itself: Express's parser gives nested objects a meaning that DICOM names don't have. */
function parameters(req: Request): URLSearchParams {
  const at = req.originalUrl.indexOf('?')
  return new URLSearchParams(at < 0 ? '' : req.originalUrl.slice(at + 1))
}

function pathKeys({ studyUid, seriesUid }: Resource): MatchKey[] {
  return [
    ...(studyUid === undefined ? [] : [{ path: ['0020000D'], value: studyUid }]),
    ...(seriesUid === undefined ? [] : [{ path: ['0020000E'], value: seriesUid }]),
  ]
}

function tagsOf(name: string): readonly Tag[] {
  const path = parseAttributeId(name)
  if (!path)
    throw new ArchiveError('invalid_request', `${name.slice(0, 64)} is no DICOM attribute and no QIDO-RS parameter`)
  return path
}

/** Undefined for universal matching. A list of UIDs may be parted by commas here (PS3.18 8.3.4.1). */
function matchKey(name: string, value: string): MatchKey | undefined {
  const path = tagsOf(name)
  const text = value.trim()
  if (text === '') return undefined
  return { path, value: UID_KEYS.has(path[0] ?? '') ? text.replaceAll(',', '\\') : text }
}

const UID_KEYS = new Set(['00080016', '00080018', '0020000D', '0020000E'])

function include(before: 'all' | Tag[], value: string): 'all' | Tag[] {
  if (before === 'all' || value === 'all') return 'all'
  const names = value.split(',').filter((name) => name !== '')
  return names.includes('all') ? 'all' : [...before, ...names.map((name) => tagsOf(name)[0] as Tag)]
}

function wholeNumber(name: string, value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new ArchiveError('invalid_request', `${name} must be a whole number from 0`)
  return Number(value)
}

function truth(name: string, value: string): boolean {
  if (value !== 'true' && value !== 'false') throw new ArchiveError('invalid_request', `${name} must be true or false`)
  return value === 'true'
}

/** Retrieve URL (0008,1190) of what was found. */
function withRetrieveUrl(match: DicomJson, level: QueryLevel, root: string): DicomJson {
  const resource: Resource = { studyUid: uidOf(match, '0020000D') }
  if (level !== 'study') resource.seriesUid = uidOf(match, '0020000E')
  if (level === 'instance') resource.sopInstanceUid = uidOf(match, '00080018')
  match['00081190'] = { vr: 'UR', Value: [resourceUrl(root, resource)] }
  return match
}
