import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { conformance } from '../conformance/conformance.ts'
import { FileStore } from './file.ts'

conformance('file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'firn-file-store-'))
  const again = () => new FileStore({ id: 'file', folder })
  return { adapter: again(), again, destroy: () => rm(folder, { recursive: true }) }
})
