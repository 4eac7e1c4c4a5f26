import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import { statSync } from 'node:fs'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { z } from 'zod'
import { FolderLock } from '../folder-lock.ts'
import { syncFolder } from '../sync-folder.ts'

export const ROLES = ['send', 'read', 'records', 'admin'] as const
export type Role = (typeof ROLES)[number]

/** What is kept of a token. Its secret is random and long, so one hash protects it. */
const tokenSchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  roles: z.array(z.enum(ROLES)),
  sha256: z.string(),
  createdAt: z.string(),
  /** The operating system's user who made it, and who revoked it. */
  createdBy: z.string().optional(),
  revokedAt: z.string().optional(),
  revokedBy: z.string().optional(),
})
export type Token = z.output<typeof tokenSchema>

const FILE = 'tokens.json'
const FRESH_MS = 1000
const LOCK_ATTEMPTS = 200
const LOCK_WAIT_MS = 25

/** `tokens.json` in the data folder. The command line writes it, running nodes notice within a second. */
export class Tokens {
  readonly #folder: string
  #tokens: readonly Token[] = []
  #version = ''
  #checkedAt = 0
  #local: Token | undefined

  constructor(dataDir: string) {
    this.#folder = dataDir
  }

  /** Those that are valid. */
  async list(): Promise<readonly Token[]> {
    return (await this.all()).filter(({ revokedAt }) => revokedAt === undefined)
  }

  /** Revoked ones too: they stay in the file, so that the audit trail can tell who revoked them. */
  async all(): Promise<readonly Token[]> {
    if (Date.now() - this.#checkedAt > FRESH_MS) await this.#refresh()
    return this.#tokens
  }

  /** The token's text is given once and kept nowhere. */
  async create(name: string, roles: readonly Role[]): Promise<{ token: Token; text: string }> {
    if (!/^[\x21-\x7e][\x20-\x7e]{0,63}$/.test(name)) {
      throw new RangeError('a token has a name of 1 to 64 printable ASCII characters')
    }
    const id = randomBytes(6).toString('hex')
    const secret = randomBytes(32).toString('base64url')
    const made = { createdAt: new Date().toISOString(), createdBy: userName() }
    const token: Token = { id, name, roles: [...roles], sha256: hash(secret), ...made }
    await this.#change((tokens) => [...tokens, token])
    return { token, text: `firn_${id}_${secret}` }
  }

  /** False when there is no such token. */
  async revoke(id: string): Promise<boolean> {
    let revoked = false
    await this.#change((tokens) => {
      const revocation = { revokedAt: new Date().toISOString(), revokedBy: userName() }
      return tokens.map((token) => {
        if (token.id !== id || token.revokedAt !== undefined) return token
        revoked = true
        return { ...token, ...revocation }
      })
    })
    return revoked
  }

  /** A token for the command line on this machine, valid while the node runs. */
  admitLocal(text: string): void {
    this.#local = { id: 'local', name: 'local', roles: ['admin'], sha256: hash(text), createdAt: '' }
  }

  async verify(text: string): Promise<Token | undefined> {
    if (this.#local && matches(this.#local, text)) return this.#local
    const [, id, secret] = /^firn_([0-9a-f]{12})_([\w-]{20,100})$/.exec(text) ?? []
    if (id === undefined || secret === undefined) return undefined
    const token = (await this.all()).find((one) => one.id === id)
    return token && token.revokedAt === undefined && matches(token, secret) ? token : undefined
  }

  async #refresh(): Promise<void> {
    this.#checkedAt = Date.now()
    const path = join(this.#folder, FILE)
    const stat = statSync(path, { throwIfNoEntry: false })
    const version = stat ? `${stat.ino} ${stat.mtimeMs} ${stat.size}` : ''
    if (version === this.#version) return
    this.#tokens = stat ? z.array(tokenSchema).parse(JSON.parse(await readFile(path, 'utf8'))) : []
    this.#version = version
  }

  /** One at a time, over processes too: a token made must not undo one revoked. */
  async #change(change: (tokens: readonly Token[]) => readonly Token[]): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o750 })
    const lock = await this.#lock()
    try {
      await this.#refresh()
      await this.#write(change(this.#tokens))
    } finally {
      await lock.release()
    }
  }

  async #lock(): Promise<FolderLock> {
    for (let attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
      const lock = await FolderLock.take(join(this.#folder, `${FILE}.lock`))
      if (lock) return lock
      await setTimeout(LOCK_WAIT_MS)
    }
    throw new Error(`${FILE} in ${this.#folder} is being changed by another process; try again`)
  }

  /** Whole or not at all, readable by its owner only. */
  async #write(tokens: readonly Token[]): Promise<void> {
    const path = join(this.#folder, FILE)
    const draft = `${path}.${randomUUID()}.draft`
    const file = await open(draft, 'w', 0o600)
    try {
      await file.writeFile(`${JSON.stringify(tokens, null, 2)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
    await syncFolder(this.#folder)
    await this.#refresh()
  }
}

/** Empty where the system doesn't say. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return ''
  }
}

function hash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

function matches(token: Token, secret: string): boolean {
  return timingSafeEqual(Buffer.from(token.sha256, 'hex'), Buffer.from(hash(secret), 'hex'))
}
