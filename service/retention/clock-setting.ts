import { requireOther, requireReason, requireRecords } from '../../retention/actor.ts'
import type { CatalogueRetention } from '../catalogue/retention-ports.ts'
import { ArchiveError } from '../errors.ts'
import type { ComplianceClock } from './clock.ts'
import { actorOf, type Officer, personOf, refusing } from './officer.ts'
import type { Recorder } from './record.ts'

/** How long a wish waits for the second person. */
const WISH_MS = 24 * 3_600_000

export interface ClockView {
  complianceMs: number
  /** How far it is behind the system clock. */
  lagMs: number
  systemBehind: boolean
  /** Who wants its lag taken out, and waits for a second person. */
  proposedBy: string | null
}

/** Takes a lag out of the compliance clock, when two records officers have looked at a clock on the wall. */
export class ClockSetting {
  readonly #options: { clock: ComplianceClock; recorder: Recorder; catalogue: Pick<CatalogueRetention, 'clock'> }
  #wish: { by: string; toMs: number; atMs: number; reason: string } | undefined

  constructor(options: { clock: ComplianceClock; recorder: Recorder; catalogue: Pick<CatalogueRetention, 'clock'> }) {
    this.#options = options
  }

  async show(): Promise<ClockView> {
    const { complianceMs, systemBehind } = await this.#options.clock.observe()
    const lagMs = Math.max(0, Date.now() - complianceMs)
    return { complianceMs, lagMs, systemBehind, proposedBy: this.#pending()?.by ?? null }
  }

  /** The first person proposes to set it to the system clock, the second one does it. */
  async forward(reason: string, officer: Officer): Promise<ClockView> {
    const { clock, recorder } = this.#options
    const person = personOf(officer)
    const text = await refusing(() => {
      requireRecords(person, 'set the compliance clock')
      return requireReason(reason)
    })
    await recorder.inTurn(async () => {
      const wish = this.#pending()
      const event = { actor: actorOf(officer), subject: {} }
      if (!wish) {
        const toMs = Date.now()
        await recorder.append({ ...event, kind: 'clock.proposed', data: { toMs, reason: text } })
        this.#wish = { by: officer.name, toMs, atMs: Date.now(), reason: text }
        return
      }
      await refusing(() => requireOther(person, [wish.by], 'agree to set the clock'))
      const toMs = Math.min(Date.now(), wish.toMs + WISH_MS)
      const data = { clockId: clock.clockId, complianceMs: toMs, reason: text, proposedBy: wish.by }
      if (toMs < clock.nowMs()) throw new ArchiveError('conflict', 'the compliance clock is not behind')
      await recorder.record({ ...event, kind: 'clock.set', data })
      await clock.setForward(toMs)
      this.#wish = undefined
    })
    return this.show()
  }

  #pending() {
    if (this.#wish && Date.now() - this.#wish.atMs > WISH_MS) this.#wish = undefined
    return this.#wish
  }
}
