/** What tests of the event log share. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Event, type Head, SYSTEM } from '../../service/events/event.ts'
import type { KnownEvent } from '../../service/events/kinds.ts'
import { EventLog, type EventLogOptions } from '../../service/events/log.ts'
import { all } from './core.ts'

export const SITE = 'site-a'
export const ACTOR = { name: 'CT "1" \u00e4\u{1f9ca}', role: 'send', from: '10.0.0.7' }

/** The `n`th of a test's events; `n` is in it. */
export function stored(n: number, study = '1.2.3'): KnownEvent {
  return {
    kind: 'instance.stored',
    actor: ACTOR,
    subject: { study, series: `${study}.1`, instance: `${study}.1.${n}` },
    data: { sha256: 'a'.repeat(64), sizeBytes: n, sopClass: '1.2', transferSyntax: '1.2.1', protocol: 'dimse' },
  }
}

export const started: KnownEvent = { kind: 'site.started', actor: SYSTEM, subject: {}, data: { version: '1.0' } }

/** The number that an event was made with. */
export const numberOf = ({ data }: Event): number => data.sizeBytes as number

export function openLog(folder: string, options: Partial<EventLogOptions> = {}): Promise<EventLog> {
  return EventLog.open({ folder, site: SITE, generation: 'g1', ...options })
}

/** Events 1 to `count`, in segments of about three each, written one by one; the log is closed. */
export async function makeLog(folder: string, count: number, options: Partial<EventLogOptions> = {}): Promise<Head[]> {
  const log = await openLog(folder, { segmentBytes: 1500, ...options })
  const heads: Head[] = []
  for (let n = 1; n <= count; n++) heads.push(...(await log.append(stored(n))))
  await log.close()
  return heads
}

export const eventsOf = (log: Pick<EventLog, 'read'>): Promise<Event[]> => all(log.read())

export const segmentsIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .sort()

export const tornIn = (folder: string): string[] => readdirSync(folder).filter((name) => name.endsWith('.torn'))

/** All lines of a log with their newlines, in order. */
export function linesIn(folder: string): string[] {
  const text = segmentsIn(folder)
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('')
  return text.split('\n').flatMap((line, at, all) => (at < all.length - 1 ? [`${line}\n`] : line === '' ? [] : [line]))
}
