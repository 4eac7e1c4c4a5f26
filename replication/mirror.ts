import type { Health } from './health.ts'
import { type Copy, PeerError, type PeerLink, type Sending } from './ports.ts'

export type Durability = 'both' | 'local'

export interface MirrorOptions {
  link: PeerLink
  health: Health
  /** Whether the other site may be given anything: it is paired with us and not fenced. */
  isOpen(): boolean
  /** Sources (AE title or token name) that want both sites or nothing. */
  isStrict(sourceName: string): boolean
  warn(message: string, details: object): void
}

/** A copy that goes to the other site while it goes to our own disk. */
export interface Mirrored {
  write(chunk: Buffer): Promise<void>
  /** Never rejects. `both`: the other site holds it durably too, with the same digest. */
  finish(last: Parameters<Sending['finish']>[0]): Promise<Durability>
  abandon(): void
}

/** Sends what arrives here to the other site, side by side with our own disk (consistency.md, Acknowledgement). */
export class Mirror {
  readonly #options: MirrorOptions

  constructor(options: MirrorOptions) {
    this.#options = options
  }

  /** Why a source that wants both sites can't be served now; undefined when all is well, or when one site will do for it. */
  refusal(sourceName: string): string | undefined {
    const { health, isOpen, isStrict } = this.#options
    if (!isStrict(sourceName) || (health.up && isOpen())) return undefined
    return `the other site is away (${health.why || 'not paired'}), and ${sourceName || 'this source'} wants both`
  }

  isStrict(sourceName: string): boolean {
    return this.#options.isStrict(sourceName)
  }

  /** Undefined while the other site is away: nobody waits for it. */
  begin(copy: Pick<Copy, 'sopInstanceUid' | 'source'>): Mirrored | undefined {
    const { link, health, isOpen, warn } = this.#options
    if (!health.up || !isOpen()) return undefined
    const sending = link.send(copy)
    return {
      write: (chunk) => sending.write(chunk),
      abandon: () => sending.abandon(),
      finish: async (last) => {
        try {
          await sending.finish(last)
          health.succeeded()
          return 'both'
        } catch (error) {
          const { code, message } = error instanceof PeerError ? error : new PeerError('away', (error as Error).message)
          if (code === 'away') health.failed(message)
          warn('the other site did not take an instance; it is owed', { sha256: last.sha256, code, reason: message })
          return 'local'
        }
      },
    }
  }
}
