import { type FigureId, type FigureKind, figureKinds, residentBytesMax, type Subject, type Target } from './figures.ts'
import { median } from './stats.ts'

/** All measurements of a run; each figure keeps every repetition. */
export class Results {
  readonly figures = new Map<FigureId, Partial<Record<Subject, number[]>>>()
  /** Highest resident size in bytes, by workload. */
  readonly memory = new Map<string, Partial<Record<Subject, number>>>()
  readonly notes: string[] = []

  add(id: FigureId, subject: Subject, value: number): void {
    const figure = this.figures.get(id) ?? {}
    this.figures.set(id, figure)
    const values = figure[subject] ?? []
    values.push(value)
    figure[subject] = values
  }

  addMemory(workload: string, subject: Subject, bytes: number): void {
    const peaks = this.memory.get(workload) ?? {}
    this.memory.set(workload, peaks)
    peaks[subject] = Math.max(peaks[subject] ?? 0, bytes)
  }

  note(text: string): void {
    this.notes.push(text)
    console.log(`  note: ${text}`)
  }
}

/** How many times as good Firn is; more is better whatever the unit. */
export function ratio(kind: FigureKind, firn: number, other: number): number {
  return kind.unit === 'ms' ? other / firn : firn / other
}

export interface Verdict extends Target {
  ratio: number
  met: boolean
}

export interface Row {
  id: FigureId
  title: string
  unit: string
  medians: Partial<Record<Subject, number>>
  values: Partial<Record<Subject, number[]>>
  /** Firn's ratio to the others, where both were measured. */
  ratios: Partial<Record<'orthanc' | 'raw', number>>
  targets: Verdict[]
}

export function rows(results: Results): Row[] {
  const ids = Object.keys(figureKinds) as FigureId[]
  return ids.filter((id) => results.figures.has(id)).map((id) => rowOf(id, results.figures.get(id) ?? {}))
}

function rowOf(id: FigureId, values: Partial<Record<Subject, number[]>>): Row {
  const kind: FigureKind = figureKinds[id]
  const medians: Row['medians'] = {}
  for (const [subject, list] of Object.entries(values) as [Subject, number[]][]) medians[subject] = median(list)
  const ratios: Row['ratios'] = {}
  for (const other of ['orthanc', 'raw'] as const) {
    const [firn, theirs] = [medians.firn, medians[other]]
    if (firn !== undefined && theirs !== undefined) ratios[other] = ratio(kind, firn, theirs)
  }
  const targets = kind.targets.flatMap((target) => {
    const reached = ratios[target.over]
    return reached === undefined ? [] : [{ ...target, ratio: reached, met: reached >= target.atLeast }]
  })
  return { id, title: kind.title, unit: kind.unit, medians, values, ratios, targets }
}

const shown = (value: number | undefined): string => {
  if (value === undefined || Number.isNaN(value)) return '-'
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** The table for people: medians, ratios, and beside each ratio its target. */
export function table(results: Results): string {
  const head = ['', 'unit', 'raw', 'Firn', 'Orthanc', 'x Orthanc', 'target', 'x raw', 'target']
  const body = rows(results).map(({ title, unit, medians, ratios, targets }) => {
    const aim = (over: Target['over']) => {
      const target = targets.find((each) => each.over === over)
      return target === undefined ? '' : `>= ${target.atLeast}${target.met ? ' ok' : ' NO'}`
    }
    const numbers = [shown(medians.raw), shown(medians.firn), shown(medians.orthanc)]
    return [title, unit, ...numbers, shown(ratios.orthanc), aim('orthanc'), shown(ratios.raw), aim('raw')]
  })
  return `${aligned([head, ...body])}\n\n${memoryTable(results)}`
}

function memoryTable(results: Results): string {
  const megabytes = (bytes: number | undefined) => (bytes === undefined ? '-' : (bytes / 1e6).toFixed(0))
  const body = [...results.memory].map(([workload, { firn, orthanc }]) => {
    const verdict = firn === undefined ? '' : `< ${residentBytesMax / 1e6} ${firn < residentBytesMax ? 'ok' : 'NO'}`
    return [workload, 'MB', megabytes(firn), megabytes(orthanc), verdict]
  })
  return aligned([['highest resident memory', 'unit', 'Firn', 'Orthanc', 'target'], ...body])
}

function aligned(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

export function asJson(results: Results, machine: Record<string, unknown>): string {
  return `${JSON.stringify({ machine, figures: rows(results), memory: Object.fromEntries(results.memory), notes: results.notes }, null, 2)}\n`
}
