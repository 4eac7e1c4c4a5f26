import express, { type Request, type Response, type Router } from 'express'
import { z } from 'zod'
import type { ReportRow } from '../catalogue/retention-ports.ts'
import { ArchiveError } from '../errors.ts'
import type { ApiContext } from './api-routes.ts'
import { noting } from './audit.ts'
import { only } from './auth.ts'
import { streamBody, streamText } from './send.ts'

const reportQuery = z.object({ format: z.enum(['csv', 'html']).default('csv') })
const none = z.object({})

/** Answers that are made while they are sent: they are as long as the archive is large. */
export const RETENTION_STREAMS = [
  {
    path: '/retention/report',
    method: 'get',
    summary: 'Every study with its date and rule, as CSV or printable HTML',
    query: reportQuery,
    type: 'text/csv',
  },
  {
    path: '/retention/plan',
    method: 'post',
    summary:
      'What another policy (the body, as in the configuration) would change; a line of JSON now and then, then the result',
    query: none,
    type: 'application/x-ndjson',
  },
] as const

export function addRetentionStreams(router: Router, context: ApiContext): void {
  router.get(
    '/retention/report',
    only('records'),
    noting(context.audit, 'query', 'retention-report'),
    async (req, res) => report(context, req, res),
  )
  router.post(
    '/retention/plan',
    only('records'),
    noting(context.audit, 'query', 'retention-plan'),
    express.json({ limit: '256kb' }),
    async (req, res) => plan(context, req, res),
  )
}

async function report({ retention }: ApiContext, req: Request, res: Response): Promise<void> {
  const parsed = reportQuery.strict().safeParse(req.query)
  if (!parsed.success) throw new ArchiveError('invalid_request', z.prettifyError(parsed.error).replaceAll('\n', ' '))
  const rows = () => retention.catalogue.report()
  if (parsed.data.format === 'csv') {
    res.attachment('retention.csv')
    return streamText(req, res, 'text/csv', () => inPieces(csv(rows())))
  }
  // helmet's policy for pages forbids their own styles.
  res.set('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'")
  return streamText(req, res, 'text/html', () => inPieces(html(rows())))
}

const COLUMNS = ['study', 'patient', 'study date', 'classes', 'instances', 'bytes', 'kept until', 'rule', 'policy']

function cells(row: ReportRow): string[] {
  const { studyUid, patient, studyDate, classes, instances, bytes, retainUntil, rule, policy } = row
  const decided = [retainUntil ?? 'not decided', rule ?? '', policy ?? '']
  return [studyUid, patient, studyDate, classes.join(' '), String(instances), String(bytes), ...decided]
}

async function* csv(rows: AsyncIterable<ReportRow>): AsyncGenerator<string> {
  yield `${COLUMNS.join(',')}\r\n`
  for await (const row of rows) yield `${cells(row).map(csvCell).join(',')}\r\n`
}

/** RFC 4180. What a spreadsheet would take for a formula begins with a quote: Patient IDs are whatever somebody typed. */
function csvCell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

const STYLE =
  'body{font:10pt sans-serif}table{border-collapse:collapse;width:100%}th,td{border:1px solid #999;padding:2px 4px;' +
  'text-align:left;font-size:8pt;word-break:break-all}thead{display:table-header-group}tr{break-inside:avoid}'

async function* html(rows: AsyncIterable<ReportRow>): AsyncGenerator<string> {
  const head = COLUMNS.map((name) => `<th>${name}</th>`).join('')
  yield `<!doctype html><html lang="en"><meta charset="utf-8"><title>Retention</title><style>${STYLE}</style>`
  yield `<h1>Retention</h1><p>As of ${new Date().toISOString()}</p><table><thead><tr>${head}</tr></thead>\n`
  let studies = 0
  for await (const row of rows) {
    studies += 1
    yield `<tr>${cells(row)
      .map((text) => `<td>${escaped(text)}</td>`)
      .join('')}</tr>\n`
  }
  yield `</table><p>${studies} studies</p></html>\n`
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escaped = (text: string): string => text.replace(/[&<>"]/g, (sign) => ENTITIES[sign] ?? sign)

const PIECE_CHARS = 32 * 1024

async function* inPieces(texts: AsyncIterable<string>): AsyncGenerator<Buffer> {
  let piece = ''
  for await (const text of texts) {
    piece += text
    if (piece.length < PIECE_CHARS) continue
    yield Buffer.from(piece)
    piece = ''
  }
  if (piece !== '') yield Buffer.from(piece)
}

async function plan({ retention }: ApiContext, req: Request, res: Response): Promise<void> {
  const lines = retention.plan(req.body)
  // A policy that is none is refused before anything is sent.
  const first = await lines.next()
  res.type('application/x-ndjson')
  await streamBody(req, res, async function* () {
    for (let line = first; !line.done; line = await lines.next()) yield Buffer.from(`${JSON.stringify(line.value)}\n`)
  })
}
