/**
 * The event log by itself: `node --import tsx bench/events.ts [seconds]`. Events a second with 1, 16 and 256 appenders that
 * each wait for their event to be durable, beside the same lines written and synced with nothing else, in turns; then how
 * fast the files are verified. Prints JSON.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { segmentPath } from '../service/events/files.ts'
import type { KnownEvent } from '../service/events/kinds.ts'
import { EventLog } from '../service/events/log.ts'
import { lastLine } from '../service/events/read.ts'
import { verifyLog } from '../service/events/verify.ts'
import { percentile } from './stats.ts'

const APPENDERS = [1, 16, 256]
const ROUNDS = 5

interface Figure {
  perSecond: number
  p50Ms: number
  p99Ms: number
}

const study = '1.2.840.113619.2.55.3.604688119.868.1234567890.123'
const event = (n: number): KnownEvent => ({
  kind: 'instance.stored',
  actor: { name: 'CT1', role: 'send', from: '10.0.0.7' },
  subject: { study, series: `${study}.1`, instance: `${study}.1.${n}` },
  data: {
    sha256: String(n).padStart(64, '0'),
    sizeBytes: 526_000,
    sopClass: '1.2.840.10008.5.1.4.1.1.2',
    transferSyntax: '1.2.840.10008.1.2.1',
    protocol: 'dimse',
  },
})

/** So many hands each do one thing after the other for so long. */
async function measure(hands: number, seconds: number, act: () => Promise<unknown>): Promise<Figure> {
  const latenciesMs: number[] = []
  const started = performance.now()
  const hand = async (): Promise<void> => {
    while (performance.now() - started < seconds * 1000) {
      const before = performance.now()
      await act()
      latenciesMs.push(performance.now() - before)
    }
  }
  await Promise.all(Array.from({ length: hands }, hand))
  const perSecond = Math.round((latenciesMs.length * 1000) / (performance.now() - started))
  const ms = (p: number) => Number(percentile(latenciesMs, p).toFixed(2))
  return { perSecond, p50Ms: ms(0.5), p99Ms: ms(0.99) }
}

/** The limit: batches of as many lines as there are hands, one write and one fdatasync each, and nothing else. */
async function raw(file: string, line: Buffer, hands: number, seconds: number): Promise<Figure> {
  const batch = Buffer.concat(Array.from({ length: hands }, () => line))
  const handle = await open(file, 'a')
  try {
    const figure = await measure(1, seconds, async () => {
      await handle.write(batch)
      await handle.datasync()
    })
    return { ...figure, perSecond: figure.perSecond * hands }
  } finally {
    await handle.close()
  }
}

const median = (figures: readonly Figure[]): Figure =>
  [...figures].sort((a, b) => a.perSecond - b.perSecond)[Math.floor(figures.length / 2)] as Figure

async function main(seconds: number): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'firn-bench-events-'))
  try {
    const events = path.join(folder, 'events')
    const log = await EventLog.open({ folder: events, site: 'site-a', generation: 'g1' })
    let n = 0
    const append = () => log.append(event(n++))
    await measure(16, 0.5, append)
    const line = Buffer.concat([(await lastLine(segmentPath(events, 1))) ?? Buffer.alloc(0), Buffer.from('\n')])
    const results = []
    for (const appenders of APPENDERS) {
      const logged: Figure[] = []
      const limit: Figure[] = []
      for (let round = 0; round < ROUNDS; round++) {
        logged.push(await measure(appenders, seconds, append))
        limit.push(await raw(path.join(folder, 'raw'), line, appenders, seconds))
      }
      const [log, limits] = [median(logged), median(limit)]
      results.push({ appenders, log, raw: limits, share: Number((log.perSecond / limits.perSecond).toFixed(2)) })
    }
    await log.close()
    const started = performance.now()
    const cpu = process.cpuUsage()
    const { intact, chains } = await verifyLog(events)
    const elapsed = (performance.now() - started) / 1000
    const cpuSeconds = process.cpuUsage(cpu).user / 1e6
    const { bytes = 0, events: count = 0 } = chains[0] ?? {}
    const verify = {
      intact,
      events: count,
      megabytes: Math.round(bytes / 1e6),
      megabytesPerSecond: Math.round(bytes / 1e6 / elapsed),
      megabytesPerCpuSecond: Math.round(bytes / 1e6 / cpuSeconds),
    }
    console.log(
      JSON.stringify(
        { lineBytes: line.length, results, verify, rssMaxMiB: Math.round(process.resourceUsage().maxRSS / 1024) },
        null,
        1,
      ),
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

await main(Number(process.argv[2] ?? 1))
