import type { Request, Response, Router } from 'express'
import type { Commitments, Requester, Transaction } from '../commitment/ports.ts'
import { isUid } from '../dicom/uids.ts'
import { toNativeXml } from '../dicom/xml.ts'
import { ArchiveError } from '../errors.ts'
import { addressOf, callerOf, only } from './auth.ts'
import { readRequestModule, responseModule } from './commitment-modules.ts'
import { parseMediaType } from './media-types.ts'
import { dataSetForm } from './negotiate.ts'
import { sendText } from './send.ts'

/** So long an answer may keep a request waiting before it is told to come back. */
const WAIT_MS = 2000
const RETRY_SECONDS_MAX = 300
/** A reference in DICOM JSON takes some 200 bytes. */
const BYTES_PER_REFERENCE = 512
const BYTES_BESIDE = 65_536
const JSON_TYPES = ['application/dicom+json', 'application/json']

/** Storage Commitment Service (PS3.18 chapter 13) below the DICOMweb root. */
export function addCommitment(router: Router, commitments: Commitments): void {
  const path = '/commitment-requests/:transaction'
  router.post(path, only('send'), (req, res) => request(commitments, req, res))
  router.get(path, only('send'), (req, res) => check(commitments, req, res))
  router.all(path, (_req, res) => {
    res.status(405).set('Allow', 'GET, HEAD, POST').json({ error: 'not_allowed', message: 'a request is not changed' })
  })
}

/** PS3.18 13.4: the answer where it is there soon, else 202 and when to ask for it. */
async function request(commitments: Commitments, req: Request, res: Response): Promise<void> {
  const form = dataSetForm(req)
  const transactionUid = transactionOf(req)
  const payload = await readPayload(req, BYTES_BESIDE + commitments.referencesMax * BYTES_PER_REFERENCE)
  const requester: Requester = { protocol: 'dicomweb', name: callerOf(req).name, address: addressOf(req) }
  const { transaction, outcome } = await commitments.request({
    transactionUid,
    requester,
    ...readRequestModule(payload),
  })
  if (outcome === 'taken') {
    res.status(409).json({ error: 'in_use', message: 'the Transaction UID is in use for another request' })
    return
  }
  await answer(commitments, req, res, form, await commitments.settled(transaction.id, WAIT_MS))
}

/** PS3.18 13.5: the result of an earlier request. */
async function check(commitments: Commitments, req: Request, res: Response): Promise<void> {
  const form = dataSetForm(req)
  const transaction = await commitments.find(transactionOf(req))
  if (!transaction) throw new ArchiveError('not_found', 'no such request, or its result is no longer kept')
  await answer(commitments, req, res, form, transaction)
}

function transactionOf({ params }: Request): string {
  const uid = String(params.transaction)
  if (!isUid(uid)) throw new ArchiveError('invalid_request', 'the path holds something that is no UID')
  return uid
}

async function readPayload(req: Request, bytesMax: number): Promise<unknown> {
  const type = parseMediaType(req.get('content-type') ?? '')?.type
  if (type === undefined || !JSON_TYPES.includes(type)) {
    throw new ArchiveError('unsupported', 'send the Storage Commitment Request Module as application/dicom+json')
  }
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of req as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > bytesMax) throw new ArchiveError('too_large', `a request of more than ${bytesMax} bytes`)
    parts.push(part)
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'))
  } catch {
    throw new ArchiveError('invalid_request', 'the payload is no JSON')
  }
}

async function answer(
  commitments: Commitments,
  req: Request,
  res: Response,
  form: 'json' | 'xml',
  transaction: Transaction,
): Promise<void> {
  if (transaction.state === 'pending') {
    const seconds = Math.ceil(((transaction.nextAt ?? 0) - Date.now()) / 1000)
    res.status(202).set('Retry-After', String(Math.min(Math.max(seconds, 1), RETRY_SECONDS_MAX)))
    res.end()
    return
  }
  const references = []
  for await (const reference of commitments.references(transaction.id, 'all')) references.push(reference)
  const json = responseModule(transaction.form, references)
  if (form === 'xml') await sendText(req, res, 'application/dicom+xml', toNativeXml(json))
  else await sendText(req, res, 'application/dicom+json', JSON.stringify(json))
}
