/** A whole site for tests of what it does in the background: everything that a node has, but for its front doors. */
import { pino } from 'pino'
import { type Archive, openArchive } from '../../service/archive.ts'
import { type Background, openBackground } from '../../service/background.ts'
import { configSchema } from '../../service/config/schema.ts'
import { DataFolder } from '../../service/data-folder.ts'
import type { Receipt } from '../../service/ingest/ports.ts'
import { RecordDescriber } from '../../service/retrieve/describe-record.ts'
import type { StoresOptions } from '../../service/stores/open.ts'
import { inChunks, SOURCE } from './core.ts'

export interface OpenedSite extends Background {
  archive: Archive
  send(file: Buffer): Promise<Receipt>
}

/** Studies are quiet at once, and the landing lets go of what is sealed at once. */
const AT_ONCE = { quietSeconds: 0, landingSeconds: 0 }

export async function withSite<T>(
  dataDir: string,
  { sealing, build, ...settings }: Record<string, unknown> & { build?: StoresOptions['build'] },
  use: (site: OpenedSite) => Promise<T>,
): Promise<T> {
  const log = pino({ level: 'silent' })
  const config = configSchema.parse({ dataDir, ...settings, sealing: { ...AT_ONCE, ...(sealing as object) } })
  const folder = await DataFolder.open(dataDir)
  try {
    const archive = await openArchive(config, folder, log, undefined, build)
    const describer = new RecordDescriber(archive.instances, config.limits.headerBytesMax)
    const background = openBackground({ archive, config, describer, lastArrival: () => 0, log })
    try {
      const send = (file: Buffer) => archive.receiver.receive({ body: inChunks(file), source: SOURCE })
      return await use({ archive, ...background, send })
    } finally {
      await describer.close()
      await archive.close()
    }
  } finally {
    await folder.close()
  }
}
