import { createHash } from 'node:crypto'
import { access, mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ArchiveError } from '../errors.ts'
import { syncFolder } from '../sync-folder.ts'

const READ_BYTES = 256 * 1024
const NEWLINE = 0x0a

/**
 * A report of any length on disk: a line of JSON for each thing that was found or done. Memory is bounded whoever writes or
 * reads it. What a crash leaves of a line at the end is cut off when it is written on.
 */
export class ReportFile {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  /** Begins anew; an earlier one of this name stays beside it, as `.1`. */
  async begin(): Promise<void> {
    await mkdir(dirname(this.path), { recursive: true, mode: 0o750 })
    await rename(this.path, `${this.path}.1`).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
    await (await open(this.path, 'wx', 0o640)).close()
    await syncFolder(dirname(this.path))
  }

  async exists(): Promise<boolean> {
    return access(this.path).then(
      () => true,
      () => false,
    )
  }

  /** Resolves when the lines are durable. */
  async append(...rows: readonly object[]): Promise<void> {
    if (rows.length === 0) return
    await mkdir(dirname(this.path), { recursive: true, mode: 0o750 })
    const file = await open(this.path, 'a+', 0o640)
    try {
      const { size } = await file.stat()
      const { buffer } = await file.read({ buffer: Buffer.alloc(1), position: Math.max(0, size - 1), length: 1 })
      const torn = size > 0 && buffer[0] !== NEWLINE
      const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('')
      // Half a line is no JSON, and whoever reads passes it over.
      await file.write(torn ? `\n${text}` : text)
      await file.datasync()
    } finally {
      await file.close()
    }
  }

  /** Lines from byte `after` on; `next` continues, null at the end. Throws ArchiveError `not_found` where there is no report. */
  async page(after: number, limit: number): Promise<{ rows: Record<string, unknown>[]; next: number | null }> {
    const rows: Record<string, unknown>[] = []
    let next = after
    for await (const { line, end } of this.#lines(after)) {
      if (rows.length === limit) return { rows, next }
      next = end
      const row = parsed(line)
      if (row) rows.push(row)
    }
    return { rows, next: null }
  }

  /** SHA-256 of the whole report, and how many lines it has; of no report, zero lines. */
  async digest(): Promise<{ sha256: string; lines: number }> {
    const hash = createHash('sha256')
    let lines = 0
    try {
      for await (const { line } of this.#lines(0)) {
        hash.update(line).update('\n')
        lines += 1
      }
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error
    }
    return { sha256: hash.digest('hex'), lines }
  }

  async *#lines(from: number): AsyncGenerator<{ line: string; end: number }> {
    const file = await open(this.path, 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') throw new ArchiveError('not_found', 'there is no such report')
      throw error
    })
    try {
      let rest = Buffer.alloc(0)
      for (let at = from; ; ) {
        const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(READ_BYTES), position: at })
        if (bytesRead === 0) return
        at += bytesRead
        rest = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
        for (let newline = rest.indexOf(NEWLINE); newline >= 0; newline = rest.indexOf(NEWLINE)) {
          const line = rest.toString('utf8', 0, newline)
          rest = rest.subarray(newline + 1)
          yield { line, end: at - rest.length }
        }
      }
    } finally {
      await file.close()
    }
  }
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    return undefined
  }
}
