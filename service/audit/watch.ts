import { createHash } from 'node:crypto'
import { z } from 'zod'
import { type Actor, SYSTEM } from '../events/event.ts'
import type { KnownEvent } from '../events/kinds.ts'
import type { RecordEvents } from '../events/ports.ts'
import { readSmall, writeSmall } from './small-file.ts'

/** What the audit trail has told already of configuration and tokens: only digests, no values. */
const seenSchema = z.object({
  config: z.record(z.string(), z.string()).optional(),
  tokens: z.record(z.string(), z.object({ name: z.string(), roles: z.string(), revoked: z.boolean() })).default({}),
})
type Seen = z.output<typeof seenSchema>

/** As the file of tokens has it. */
export interface SeenToken {
  id: string
  name: string
  roles: readonly string[]
  createdBy?: string | undefined
  revokedAt?: string | undefined
  revokedBy?: string | undefined
}

export interface WatchOptions {
  path: string
  log: RecordEvents
  tokens(): Promise<readonly SeenToken[]>
  warn(message: string, details: object): void
}

const KEYS_MAX = 1000
const EVERY_MS = 5000

/**
 * Tells of what changes outside of the node: its configuration, at each start, and the file of tokens, which the command
 * line or an editor may change at any time. Told first, then remembered: a crash between makes it told twice.
 */
export class Watch {
  readonly #options: WatchOptions
  #seen: Seen = { tokens: {} }
  #timer: NodeJS.Timeout | undefined
  #checking: Promise<void> | undefined

  constructor(options: WatchOptions) {
    this.#options = options
  }

  /** `config` has no secrets any more. */
  async start(config: unknown): Promise<void> {
    const kept = seenSchema.safeParse(await readSmall(this.#options.path))
    if (kept.success) this.#seen = kept.data
    await this.#quietly(() => this.#tellConfig(config))
    await this.check()
    this.#timer = setInterval(() => void this.check(), EVERY_MS)
    this.#timer.unref()
  }

  /** Looks whether there are other tokens than before. */
  check(): Promise<void> {
    this.#checking ??= this.#quietly(() => this.#tellTokens()).finally(() => {
      this.#checking = undefined
    })
    return this.#checking
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#checking
    if (this.#timer) await this.check()
  }

  /** What can't be told now is told at the next look. */
  async #quietly(work: () => Promise<void>): Promise<void> {
    await work().catch((error: Error) => {
      this.#options.warn('a change of tokens or configuration is not in the event log yet', { reason: error.message })
    })
  }

  async #tellConfig(config: unknown): Promise<void> {
    const now = digests(config)
    const before = this.#seen.config
    const keys = [...new Set([...Object.keys(now), ...Object.keys(before ?? {})])]
      .filter((key) => now[key] !== before?.[key])
      .sort()
    if (before && keys.length === 0) return
    const digest = sha256(JSON.stringify(Object.entries(now).sort()))
    const data = { keys: before ? keys.slice(0, KEYS_MAX) : [], digest }
    await this.#tell([{ kind: 'config.changed', actor: SYSTEM, subject: {}, data }], { config: now })
  }

  async #tellTokens(): Promise<void> {
    const { tokens: before } = this.#seen
    const tokens = await this.#options.tokens()
    const events = tokens.flatMap((token) => changes(token, before[token.id]))
    const there = new Set(tokens.map(({ id }) => id))
    for (const [token, { name, revoked }] of Object.entries(before)) {
      if (there.has(token) || revoked) continue
      events.push({ kind: 'token.revoked', actor: LOCAL, subject: {}, data: { token, name, edited: true } })
    }
    if (events.length === 0) return
    const now = tokens.map((token) => {
      const { id, name, revokedAt } = token
      return [id, { name, roles: rolesOf(token), revoked: revokedAt !== undefined }] as const
    })
    await this.#tell(events, { tokens: Object.fromEntries(now) })
  }

  async #tell(events: readonly KnownEvent[], seen: Partial<Seen>): Promise<void> {
    const { log, path } = this.#options
    await log.append(...events)
    this.#seen = { ...this.#seen, ...seen }
    await writeSmall(path, this.#seen)
  }
}

/** Whoever has changed a file of this machine. */
const LOCAL: Actor = { name: '', role: '', from: 'local' }

function changes(token: SeenToken, before: Seen['tokens'][string] | undefined): KnownEvent[] {
  const { id, name, roles, createdBy, revokedAt, revokedBy } = token
  const events: KnownEvent[] = []
  const actor = (user: string | undefined): Actor => ({ ...LOCAL, name: user ?? '' })
  const by = (user: string | undefined) => (user === undefined || user === '' ? {} : { by: user })
  // Only an editor gives a token other roles, or makes one valid again that was revoked.
  const isRevived = before !== undefined && (before.revoked ? revokedAt === undefined : before.roles !== rolesOf(token))
  if (!before || isRevived) {
    const data = { token: id, name, roles: [...roles], ...by(createdBy), ...(isRevived ? { edited: true } : {}) }
    events.push({ kind: 'token.created', actor: actor(createdBy), subject: {}, data })
  }
  if (revokedAt !== undefined && !before?.revoked) {
    const data = { token: id, name, ...by(revokedBy) }
    events.push({ kind: 'token.revoked', actor: actor(revokedBy), subject: {}, data })
  }
  return events
}

const rolesOf = ({ roles }: SeenToken): string => [...roles].sort().join(',')

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Of each value, by its dotted key. */
function digests(value: unknown, path: readonly string[] = []): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { [path.join('.')]: sha256(JSON.stringify(value) ?? '') }
  }
  return Object.assign({}, ...Object.entries(value).map(([key, child]) => digests(child, [...path, key])))
}
