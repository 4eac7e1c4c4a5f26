/**
 * The two-site protocol by which one study is destroyed, as pure state machines. The coordinator numbers a proposal and
 * asks the other site to prepare; it may still abort, and looks at everything once more before it commits; from the
 * commit on both destroy. Messages may be lost, late, repeated and out of order; a site may be restored from an old
 * backup. Five rules make that safe, and the model check shows that each of them is needed:
 *
 * 1. A site that has prepared or committed grants no holds.
 * 2. The coordinator may abort, and rechecks policy, holds and clocks before it commits.
 * 3. A commit is valid only for the proposal number that the participant has prepared.
 * 4. A hold is guaranteed only when both sites have confirmed it.
 * 5. A restored site processes nothing but rejoin, which merges both sites' state and voids open proposals.
 *
 * A state is to be on disk before its messages are sent. Messages are sent again until they are answered.
 */
export interface ProtocolRules {
  readonly preparedGrantsNoHolds: boolean
  readonly recheckBeforeCommit: boolean
  readonly commitNeedsItsNumber: boolean
  readonly guaranteedByBoth: boolean
  readonly restoredOnlyRejoins: boolean
}

/** Only the model check ever uses others. */
export const ALL_RULES: ProtocolRules = {
  preparedGrantsNoHolds: true,
  recheckBeforeCommit: true,
  commitNeedsItsNumber: true,
  guaranteedByBoth: true,
  restoredOnlyRejoins: true,
}

/** What a site knows of the destruction of one study. */
export interface SiteState {
  /** Of the site's storage; each restore or new start has a higher one. */
  readonly generation: number
  /** The other site's, as far as this one knows. */
  readonly peerGeneration: number
  /** Highest proposal number seen or made. */
  readonly highest: number
  readonly coordinating: { readonly number: number; readonly committed: boolean } | undefined
  readonly prepared: number | undefined
  /** Its bytes are gone; a tombstone is never taken back. */
  readonly destroyed: boolean
  /** Ids of active holds that this site knows. */
  readonly holds: readonly string[]
  /** Those that this site shows as guaranteed. */
  readonly guaranteed: readonly string[]
  /** Set while the site has been restored and has not rejoined. */
  readonly fenced: boolean
}

export type ProtocolMessage =
  | { readonly kind: 'prepare' | 'prepared' | 'refused' | 'commit' | 'abort' | 'done'; readonly number: number }
  | HoldMessage
  | { readonly kind: 'rejoin'; readonly generation: number; readonly committed: number | undefined }
  | {
      readonly kind: 'rejoined'
      /** Of the restored site that it answers, and of the site that answers. */
      readonly generation: number
      readonly peerGeneration: number
      readonly highest: number
      readonly holds: readonly string[]
      readonly destroyed: boolean
    }

/**
 * `held`: the sender has placed it; `confirmed`: the sender has it too; `settled`: the sender knows that both have it. Each
 * is a statement about the sender, so it means nothing once the sender is known to be of another generation.
 */
export interface HoldMessage {
  readonly kind: 'held' | 'confirmed' | 'settled'
  readonly holdId: string
  readonly generation: number
}

/** A site's new state, and what it has to tell the other one. */
export interface ProtocolStep {
  readonly state: SiteState
  readonly send: readonly ProtocolMessage[]
}

const NUMBERS_PER_GENERATION = 1_000_000

export const newSite = (generation: number, peerGeneration: number): SiteState => ({
  generation,
  peerGeneration,
  highest: 0,
  coordinating: undefined,
  prepared: undefined,
  destroyed: false,
  holds: [],
  guaranteed: [],
  fenced: false,
})

const stay = (state: SiteState): ProtocolStep => ({ state, send: [] })
const go = (state: SiteState, ...send: ProtocolMessage[]): ProtocolStep => ({ state, send })
const including = (list: readonly string[], ...ids: string[]): string[] => [...new Set([...list, ...ids])].sort()

/** Proposes destruction. Does nothing where the site holds the study, has a proposal open, or is fenced. */
export function propose(state: SiteState): ProtocolStep {
  const { holds, coordinating, prepared, destroyed, fenced, generation, highest } = state
  if (fenced || destroyed || coordinating || prepared !== undefined || holds.length > 0) return stay(state)
  // Numbers of before a restore are never given out again, though the site may have forgotten them.
  const number = Math.max(highest, generation * NUMBERS_PER_GENERATION) + 1
  return go({ ...state, highest: number, coordinating: { number, committed: false } }, { kind: 'prepare', number })
}

/** The coordinator gives up before it has committed; afterwards it does nothing. */
export function giveUp(state: SiteState): ProtocolStep {
  if (state.fenced || !state.coordinating || state.coordinating.committed) return stay(state)
  return go({ ...state, coordinating: undefined }, { kind: 'abort', number: state.coordinating.number })
}

/** The coordinator's own bytes go once it has committed. */
export function destroyOwn(state: SiteState): ProtocolStep {
  if (state.fenced || !state.coordinating?.committed) return stay(state)
  return stay({ ...state, destroyed: true })
}

/** Places a hold at this site. Where that is not possible any more the state stays as it is: the hold is not granted. */
export function hold(state: SiteState, holdId: string, rules = ALL_RULES): ProtocolStep {
  if (!grantsHolds(state, rules)) return stay(state)
  const holds = including(state.holds, holdId)
  const guaranteed = rules.guaranteedByBoth ? state.guaranteed : including(state.guaranteed, holdId)
  return go({ ...state, holds, guaranteed }, { kind: 'held', holdId, generation: state.generation })
}

export function grantsHolds(state: SiteState, rules = ALL_RULES): boolean {
  if (state.fenced || state.destroyed) return false
  return !rules.preparedGrantsNoHolds || (state.prepared === undefined && !state.coordinating?.committed)
}

/** The state as a backup has it becomes the site's again. `generation` is one that no site has had. */
export function restore(backup: SiteState, generation: number, rules = ALL_RULES): ProtocolStep {
  const state = { ...backup, generation, fenced: rules.restoredOnlyRejoins }
  if (!state.fenced) return stay(state)
  const committed = backup.coordinating?.committed ? backup.coordinating.number : undefined
  return go(state, { kind: 'rejoin', generation, committed })
}

/**
 * A message from the other site. `allowed`: what the coordinator's recheck of policy and clocks says now; holds it looks at
 * itself.
 */
export function receive(state: SiteState, message: ProtocolMessage, allowed: boolean, rules = ALL_RULES): ProtocolStep {
  if (state.fenced) return message.kind === 'rejoined' ? mergeAfterRestore(state, message) : stay(state)
  switch (message.kind) {
    case 'prepare':
      return onPrepare(state, message.number)
    case 'prepared':
      return onPrepared(state, message.number, allowed, rules)
    case 'refused':
      return state.coordinating?.number === message.number ? giveUp(state) : stay(state)
    case 'commit':
      return onCommit(state, message.number, rules)
    case 'abort':
      return onAbort(state, message.number)
    case 'done':
      return onDone(state, message.number)
    case 'held':
    case 'confirmed':
    case 'settled':
      return onHold(state, message, rules)
    case 'rejoin':
      return onRejoin(state, message)
    case 'rejoined':
      return stay(state)
  }
}

/** A number that was seen before is answered only while it is the one prepared: a late prepare revives nothing. */
function onPrepare(state: SiteState, number: number): ProtocolStep {
  if (state.prepared === number) return go(state, { kind: 'prepared', number })
  if (number <= state.highest) return stay(state)
  const seen = { ...state, highest: number }
  if (state.destroyed || state.holds.length > 0 || state.coordinating) return go(seen, { kind: 'refused', number })
  return go({ ...seen, prepared: number }, { kind: 'prepared', number })
}

function onPrepared(state: SiteState, number: number, allowed: boolean, rules: ProtocolRules): ProtocolStep {
  if (state.coordinating?.number !== number) return stay(state)
  if (state.coordinating.committed) return go(state, { kind: 'commit', number })
  if (rules.recheckBeforeCommit && (!allowed || state.holds.length > 0)) return giveUp(state)
  return go({ ...state, coordinating: { number, committed: true } }, { kind: 'commit', number })
}

function onCommit(state: SiteState, number: number, rules: ProtocolRules): ProtocolStep {
  if (state.destroyed) return go(state, { kind: 'done', number })
  if (rules.commitNeedsItsNumber && state.prepared !== number) return stay(state)
  return go({ ...state, prepared: undefined, destroyed: true }, { kind: 'done', number })
}

/** An abort may come before its prepare, which must then do nothing any more. */
function onAbort(state: SiteState, number: number): ProtocolStep {
  const highest = Math.max(state.highest, number)
  return stay({ ...state, highest, prepared: state.prepared === number ? undefined : state.prepared })
}

function onDone(state: SiteState, number: number): ProtocolStep {
  if (state.coordinating?.number !== number || !state.coordinating.committed) return stay(state)
  return stay({ ...state, coordinating: undefined, destroyed: true })
}

/**
 * The site that placed a hold shows it as guaranteed when the other has confirmed it, and says so; the other one only
 * when it hears that, since the first may have been restored and have forgotten the hold meanwhile.
 */
function onHold(state: SiteState, { kind, holdId, generation }: HoldMessage, rules: ProtocolRules): ProtocolStep {
  if (generation !== state.peerGeneration) return stay(state)
  const known = state.holds.includes(holdId)
  if (!known && (kind === 'settled' || !grantsHolds(state, rules))) return stay(state)
  const holds = including(state.holds, holdId)
  const answer = { holdId, generation: state.generation }
  if (kind === 'held') return go({ ...state, holds }, { kind: 'confirmed', ...answer })
  const sure = { ...state, holds, guaranteed: including(state.guaranteed, holdId) }
  return kind === 'confirmed' ? go(sure, { kind: 'settled', ...answer }) : stay(sure)
}

/** The other site was restored: nothing that is still open counts, except a commit that both know of. */
function onRejoin(state: SiteState, message: Extract<ProtocolMessage, { kind: 'rejoin' }>): ProtocolStep {
  const commits = state.prepared !== undefined && state.prepared === message.committed
  const destroyed = state.destroyed || commits
  const coordinating = state.coordinating?.committed ? state.coordinating : undefined
  return go(
    { ...state, peerGeneration: message.generation, prepared: undefined, destroyed, coordinating },
    {
      kind: 'rejoined',
      generation: message.generation,
      peerGeneration: state.generation,
      highest: state.highest,
      holds: state.holds,
      destroyed: destroyed || coordinating !== undefined,
    },
  )
}

/** The answer must be to this restore: one that is older may not know what has happened since. */
function mergeAfterRestore(state: SiteState, message: Extract<ProtocolMessage, { kind: 'rejoined' }>): ProtocolStep {
  if (message.generation !== state.generation) return stay(state)
  return stay({
    ...state,
    fenced: false,
    peerGeneration: message.peerGeneration,
    highest: Math.max(state.highest, message.highest),
    coordinating: undefined,
    prepared: undefined,
    destroyed: state.destroyed || message.destroyed,
    holds: including(state.holds, ...message.holds),
  })
}
