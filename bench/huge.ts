/** One instance over 4 GiB: no size fits 32 bits, and nobody may hold it in memory. */
import { mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import type { Bench } from './bench.ts'
import { runJob } from './load.ts'
import { startServer } from './servers.ts'

export async function measureHuge(bench: Bench): Promise<void> {
  // The short form still has more than 1 GiB.
  const frames = bench.options.short ? 130 : 512
  bench.say(`huge, ${((frames * 8) / 1024).toFixed(1)} GiB`)
  const folder = path.join(bench.folder, 'raw')
  mkdirSync(folder, { recursive: true })
  const raw = await runJob({ kind: 'raw-huge', folder, frames })
  bench.results.add('huge.stow', 'raw', raw.bytes / 1e6 / raw.seconds)
  rmSync(folder, { recursive: true })
  // The peer builds the whole request in memory several times over; it is left out.
  if (!bench.subjects.includes('firn')) return
  const server = await startServer('firn', path.join(bench.folder, 'server-firn'))
  try {
    server.resetPeak()
    const stow = await runJob({ kind: 'stow-huge', dicomWeb: server.dicomWeb, frames })
    bench.results.add('huge.stow', 'firn', stow.bytes / 1e6 / stow.seconds)
    bench.results.addMemory('huge over STOW', 'firn', server.peakBytes())
  } finally {
    await server.stop()
  }
}
