import type { Firn } from './firn.ts'
import type { Ledger, Sent, Version } from './load.ts'
import { dataSet, readPart10, sha256 } from './part10.ts'
import { first, get, retrieve, search, searchAll } from './web.ts'

/**
 * The outside checker: compares what an archive shows with what its clients sent. A study must look the same from all
 * sides (counts, list, bytes), all that was acknowledged must be there byte for byte, and nothing may be there that
 * nobody sent. The archive must be at rest. Returns the contradictions found.
 */
export async function checkStudies(firn: Firn, ledger: Ledger, studyUids: Iterable<string>): Promise<string[]> {
  const problems: string[] = []
  for (const studyUid of studyUids) await checkStudy(firn, ledger, studyUid, problems)
  return problems
}

async function checkStudy(firn: Firn, ledger: Ledger, studyUid: string, problems: string[]): Promise<void> {
  const wanted = ledger.byStudy.get(studyUid) ?? new Set()
  const study = (await search(firn.dicomWeb, `/studies?StudyInstanceUID=${studyUid}`))[0]
  const listed = (await searchAll(firn.dicomWeb, `/studies/${studyUid}/instances`)).map((item) =>
    first(item, '00080018'),
  )
  const files = await retrieveOrNothing(firn, studyUid)
  const counted = Number(first(study, '00201208'))
  if (counted !== listed.length || listed.length !== files.length) {
    problems.push(`study ${studyUid}: counts ${counted}, lists ${listed.length}, gives ${files.length} instances`)
  }
  const served = servedVersions(ledger, studyUid, files, problems)
  for (const uid of listed) if (!served.has(uid)) problems.push(`instance ${uid} is listed but not given`)
  for (const uid of wanted) {
    const sent = ledger.bySop.get(uid)
    if (sent !== undefined) await checkAcknowledged(firn, uid, sent, served.get(uid), problems)
  }
}

async function retrieveOrNothing(firn: Firn, studyUid: string): Promise<Buffer[]> {
  const path = `/studies/${studyUid}`
  const found = await get(`${firn.dicomWeb}${path}/series?limit=1`, 'application/dicom+json')
  return found.status === 204 || found.status === 404 ? [] : await retrieve(firn.dicomWeb, path)
}

/** By SOP Instance UID, the version that was sent and is served. */
function servedVersions(
  ledger: Ledger,
  studyUid: string,
  files: readonly Buffer[],
  problems: string[],
): Map<string, Version> {
  const served = new Map<string, Version>()
  for (const file of files) {
    const uid = readPart10(file).sopInstanceUid
    const sent = ledger.bySop.get(uid)
    const [whole, data] = [sha256(file), sha256(dataSet(file))]
    const version = sent?.versions.find((each) =>
      each.via === 'stow' ? each.sha256 === whole : each.dataSetSha256 === data,
    )
    if (sent === undefined || version === undefined || sent.studyUid !== studyUid) {
      problems.push(`study ${studyUid} gives an instance ${uid} (${file.length} bytes) that nobody sent so`)
    } else if (served.has(uid)) problems.push(`instance ${uid} is given twice`)
    else served.set(uid, version)
  }
  return served
}

async function checkAcknowledged(
  firn: Firn,
  uid: string,
  sent: Sent,
  served: Version | undefined,
  problems: string[],
): Promise<void> {
  for (const version of sent.versions) {
    if (!version.acknowledged || version === served) continue
    if (served === undefined) problems.push(`instance ${uid} was acknowledged (${version.via}) and is gone`)
    else if (version.via === 'stow') {
      const kept = await get(`${firn.url}/api/v1/instances/by-digest/${version.sha256}`)
      if (kept.status !== 200 || sha256(kept.bytes) !== version.sha256) {
        problems.push(`instance ${uid}: the acknowledged file ${version.sha256} is gone (HTTP ${kept.status})`)
      }
    }
  }
}

/** Studies that the archive has but nobody sent, and the other way round for those with something acknowledged. */
export async function checkStudyList(firn: Firn, ledger: Ledger): Promise<string[]> {
  const items = await searchAll(firn.dicomWeb, '/studies')
  const listed = new Set(items.map((item) => first(item, '0020000D')))
  const problems = [...listed].filter((uid) => !ledger.byStudy.has(uid)).map((uid) => `study ${uid} was never sent`)
  if (listed.size !== items.length) problems.push('a study is listed twice')
  for (const sent of ledger.bySop.values()) {
    const acknowledged = sent.versions.some((version) => version.acknowledged)
    if (acknowledged && !listed.has(sent.studyUid)) problems.push(`study ${sent.studyUid} is not listed`)
  }
  return [...new Set(problems)]
}
