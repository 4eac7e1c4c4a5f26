/**
 * An exhaustive search through everything that two sites, one study and one hold can do, while messages are lost, late,
 * repeated and out of order: a message once sent stays in the network for ever and may arrive at any time, or never. Each
 * site may be backed up once and restored from that once; the hold is placed once, at either site; retention may be
 * extended once.
 */
import {
  destroyOwn,
  giveUp,
  hold,
  newSite,
  type ProtocolMessage,
  type ProtocolRules,
  type ProtocolStep,
  propose,
  receive,
  restore,
  type SiteState,
} from '../protocol.ts'

interface World {
  /** The coordinator and the participant. */
  readonly sites: readonly [SiteState, SiteState]
  readonly backups: readonly [SiteState | undefined, SiteState | undefined]
  readonly restored: readonly [boolean, boolean]
  /** To the coordinator and to the participant, as JSON, sorted. */
  readonly network: readonly [readonly string[], readonly string[]]
  readonly holdPlaced: boolean
  /** Policy, or a late instance, keeps the study longer since. */
  readonly extended: boolean
  /** Some site has shown the hold as guaranteed. */
  readonly promised: boolean
  /** The coordinator has committed over what it knew. */
  readonly overruled: boolean
}

export interface Bounds {
  /** In each generation of the coordinator. */
  proposals: number
  restores: number
  /** Whether retention may be extended; it matters to the recheck alone. */
  extends: boolean
}

const START: World = {
  sites: [newSite(0, 0), newSite(0, 0)],
  backups: [undefined, undefined],
  restored: [false, false],
  network: [[], []],
  holdPlaced: false,
  extended: false,
  promised: false,
  overruled: false,
}

const replaced = <T>(pair: readonly [T, T], n: 0 | 1, value: T): [T, T] =>
  n === 0 ? [value, pair[1]] : [pair[0], value]

/** The world after a site has made a step. */
function after(world: World, n: 0 | 1, { state, send }: ProtocolStep): World {
  const to = n === 0 ? 1 : 0
  const messages = [...new Set([...world.network[to], ...send.map((message) => JSON.stringify(message))])].sort()
  const before = world.sites[n]
  const goesOn = state.generation === before.generation
  const commits = goesOn && state.coordinating?.committed === true && before.coordinating?.committed !== true
  return {
    ...world,
    sites: replaced(world.sites, n, state),
    network: replaced(world.network, to, messages),
    promised: world.promised || state.guaranteed.length > 0,
    overruled: world.overruled || (commits && (world.extended || before.holds.length > 0)),
  }
}

function* next(world: World, rules: ProtocolRules, bounds: Bounds): Generator<[string, World]> {
  const [coordinator] = world.sites
  const made = coordinator.highest % 1_000_000
  if (made < bounds.proposals && !world.extended) yield ['propose', after(world, 0, propose(coordinator))]
  if (coordinator.coordinating && !coordinator.coordinating.committed)
    yield ['abort', after(world, 0, giveUp(coordinator))]
  yield ['destroy own', after(world, 0, destroyOwn(coordinator))]
  if (bounds.extends && !world.extended && !coordinator.coordinating?.committed)
    yield ['extend', { ...world, extended: true }]
  for (const n of [0, 1] as const) {
    const state = world.sites[n]
    const name = n === 0 ? 'coordinator' : 'participant'
    if (!world.holdPlaced) {
      const step = hold(state, 'h', rules)
      if (step.send.length > 0) yield [`hold at ${name}`, { ...after(world, n, step), holdPlaced: true }]
    }
    if (bounds.restores > 0 && !world.backups[n]) {
      yield [`back up ${name}`, { ...world, backups: replaced(world.backups, n, state) }]
    }
    const backup = world.backups[n]
    if (backup && !world.restored[n] && world.restored.filter(Boolean).length < bounds.restores) {
      const step = restore(backup, world.sites[0].generation + world.sites[1].generation + 1, rules)
      yield [`restore ${name}`, { ...after(world, n, step), restored: replaced(world.restored, n, true) }]
    }
    for (const text of world.network[n]) {
      const message: ProtocolMessage = JSON.parse(text)
      yield [`${name} gets ${text}`, after(world, n, receive(state, message, !world.extended, rules))]
    }
  }
}

function violation({ sites, promised, overruled }: World): string | undefined {
  if (promised && sites.some(({ destroyed }) => destroyed)) return 'destroyed over a guaranteed hold'
  if (overruled) return 'committed over what the coordinator knew'
  return undefined
}

const siteKey = (state: SiteState | undefined): string =>
  state === undefined
    ? '-'
    : `${state.generation},${state.peerGeneration},${state.highest},${state.coordinating?.number ?? ''}${state.coordinating?.committed ? '!' : ''},` +
      `${state.prepared ?? ''},${state.destroyed ? 1 : 0}${state.holds.length}${state.guaranteed.length}${state.fenced ? 1 : 0}`

function worldKey({ sites, backups, restored, network, holdPlaced, extended, promised, overruled }: World): string {
  const flags = [...restored, holdPlaced, extended, promised, overruled].map(Number).join('')
  return [...sites.map(siteKey), ...backups.map(siteKey), network[0].join(), network[1].join(), flags].join('|')
}

/** Breadth first, so that the trace found is a shortest one. */
export function search(
  rules: ProtocolRules,
  bounds: Bounds,
): { states: number; destroyed: number; trace?: string[]; what?: string } {
  const seen = new Set([worldKey(START)])
  type Node = { world: World; how: string; from: Node | undefined }
  let layer: Node[] = [{ world: START, how: 'start', from: undefined }]
  let destroyed = 0
  while (layer.length > 0) {
    const following: Node[] = []
    for (const node of layer) {
      for (const [how, world] of next(node.world, rules, bounds)) {
        const key = worldKey(world)
        if (seen.has(key)) continue
        seen.add(key)
        const reached: Node = { world, how, from: node }
        if (world.sites.every((site) => site.destroyed)) destroyed += 1
        const what = violation(world)
        if (what !== undefined) {
          const trace: string[] = []
          for (let at: Node | undefined = reached; at; at = at.from) trace.unshift(at.how)
          return { states: seen.size, destroyed, trace, what }
        }
        following.push(reached)
      }
    }
    layer = following
  }
  return { states: seen.size, destroyed }
}
