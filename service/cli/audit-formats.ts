import type { AuditedEvent } from '../audit/ports.ts'

const COLUMNS = ['at', 'kind', 'actor', 'role', 'address', 'study', 'subject', 'data', 'site', 'seq', 'hash'] as const

function cells({ at, kind, actor, subject, data, site, seq, hash }: AuditedEvent): string[] {
  const { study = '', ...others } = subject
  const more = Object.keys(others).length === 0 ? '' : JSON.stringify(others)
  return [at, kind, actor.name, actor.role, actor.from, study, more, JSON.stringify(data), site, String(seq), hash]
}

/** RFC 4180; the line of names for undefined. */
export function csvLine(event: AuditedEvent | undefined): string {
  return `${(event ? cells(event) : COLUMNS).map(csvCell).join(',')}\r\n`
}

/** A spreadsheet must not take a name for a formula. */
function csvCell(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (one) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[one] as string)

export function htmlStart(filter: Readonly<Record<string, string>>): string {
  const asked = Object.entries(filter).map(([name, value]) => `${name} ${value}`)
  const names = ['when', 'what', 'who', 'from', 'study', 'details', 'event']
  return `<!doctype html><meta charset="utf-8"><title>Audit trail</title>
<style>body{font:10pt sans-serif}table{border-collapse:collapse;width:100%}th,td{border:1px solid #999;padding:2px 4px;
text-align:left;vertical-align:top;overflow-wrap:anywhere}thead{display:table-header-group}tr{break-inside:avoid}</style>
<h1>Audit trail</h1><p>${escapeHtml(asked.join(', ') || 'everything')}; printed ${new Date().toISOString()}</p>
<table><thead><tr>${names.map((name) => `<th>${name}</th>`).join('')}</tr></thead><tbody>
`
}

export function htmlRow({ at, kind, actor, subject, data, site, seq }: AuditedEvent): string {
  const who = actor.role === '' ? actor.name : `${actor.name} (${actor.role})`
  const details = Object.entries(data).map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
  const columns = [at, kind, who, actor.from, subject.study ?? '', details.join(', '), `${seq} of ${site}`]
  return `<tr>${columns.map((text) => `<td>${escapeHtml(text)}</td>`).join('')}</tr>\n`
}

export const htmlEnd = (): string => '</tbody></table>\n'
