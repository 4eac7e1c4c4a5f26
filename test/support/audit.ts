import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** An event as its line in the log has it. */
export interface LoggedEvent {
  seq: number
  hash: string
  kind: string
  actor: { name: string; role: string; from: string }
  subject: Record<string, string>
  data: Record<string, unknown>
}

export const logFiles = (dataDir: string): string[] =>
  readdirSync(join(dataDir, 'events'))
    .filter((name) => name.endsWith('.jsonl'))
    .sort()
    .map((name) => join(dataDir, 'events', name))

/** What a data folder's event log says, of one kind where it is given. */
export function logged(dataDir: string, kind?: string): LoggedEvent[] {
  const lines = logFiles(dataDir).flatMap((file) => readFileSync(file, 'utf8').split('\n').slice(0, -1))
  const events = lines.map((line) => JSON.parse(line) as LoggedEvent)
  return kind === undefined ? events : events.filter((event) => event.kind === kind)
}

/** Requests that events stand for. */
export const requestsIn = (events: readonly LoggedEvent[]): number =>
  events.reduce((sum, { data }) => sum + Number(data.requests ?? 1), 0)

export const sumOf = (events: readonly LoggedEvent[], name: string): number =>
  events.reduce((sum, { data }) => sum + Number(data[name] ?? 0), 0)
