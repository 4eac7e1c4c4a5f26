import { setTimeout as sleep } from 'node:timers/promises'
import type { CatalogueRetention } from '../catalogue/retention-ports.ts'
import { SYSTEM } from '../events/event.ts'
import { known } from '../events/kinds.ts'
import type { RecordEvents } from '../events/ports.ts'
import type { ProjectedLog } from '../events/projector.ts'

export interface ConfirmHoldsOptions {
  /** Of this site and its storage's generation. */
  site: string
  generation: string
  catalogue: Pick<CatalogueRetention, 'holdEvents'>
  events: RecordEvents
  /** How far the other site's log was looked through, durable when `save` resolves. */
  cursor: { readonly seq: number; save(seq: number): Promise<void> }
  /** Resolves when the catalogue has what the other site's log says up to here. */
  projected(seq: number): Promise<void>
  warn(message: string, details: object): void
  signal: AbortSignal
}

const SAVE_EVERY = 10_000
const PAUSE_MS = 5000

/**
 * Confirms the other site's holds, which are in a log of this site by now, and this site's own when the other one has
 * confirmed them: only then are they guaranteed (consistency.md, Destruction, rule 4; retention/protocol.ts).
 */
export async function confirmHolds(log: ProjectedLog, options: ConfirmHoldsOptions): Promise<void> {
  const { signal, warn } = options
  while (!signal.aborted) {
    await follow(log, options).catch((error: Error) =>
      warn("the other site's holds can't be confirmed now; they are tried again", { reason: error.message }),
    )
    await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined)
  }
}

/** Until the signal, or a failure: what was not saved is looked through again. */
async function follow(log: ProjectedLog, options: ConfirmHoldsOptions): Promise<void> {
  const { cursor, signal } = options
  let seq = cursor.seq
  await log.project({
    after: seq,
    signal,
    handle: async (events) => {
      let found = false
      for (const event of events) {
        seq = event.seq
        const one = known(event)
        if (one?.kind !== 'hold.placed' && one?.kind !== 'hold.confirmed') continue
        if (one.subject.hold !== undefined) await confirm(one.subject.hold, seq, options)
        found = true
      }
      if (found || seq - cursor.seq >= SAVE_EVERY) await cursor.save(seq)
    },
  })
}

async function confirm(hold: string, seq: number, options: ConfirmHoldsOptions): Promise<void> {
  const { site, generation, catalogue, events, projected } = options
  await projected(seq)
  const said = await catalogue.holdEvents(hold)
  const isConfirmed = said.some(
    (event) => event.kind === 'confirmed' && event.site === site && event.generation === generation,
  )
  if (!isConfirmed) await events.append({ kind: 'hold.confirmed', actor: SYSTEM, subject: { hold }, data: {} })
}
