import { isIP } from 'node:net'
import type { NextFunction, Request, RequestHandler, Response } from 'express'
import type { Role, Token, Tokens } from '../config/tokens.ts'
import type { Actor } from '../events/event.ts'

/** Who sends a request. Without tokens (loopback only) everybody is `anonymous` and may do everything. */
export interface Caller {
  name: string
  /** The token's; undefined where none is needed. */
  id?: string
  roles: ReadonlySet<Role>
}

const callers = new WeakMap<Request, Caller>()
const ANONYMOUS: Caller = { name: '', roles: new Set(['send', 'read', 'records', 'admin']) }

export function callerOf(req: Request): Caller {
  return callers.get(req) ?? { name: '', roles: new Set() }
}

/** Who is behind a request that needed this role, as events name them. */
export function actorOf(req: Request, role: Role): Actor {
  return { name: callerOf(req).name, role, from: addressOf(req) }
}

/** The ID of the token that somebody claims to have, whether he has it or not. It is no secret. */
export function claimedTokenOf(req: Request): string | undefined {
  return /^Bearer\s+firn_([0-9a-f]{12})_/i.exec(req.get('authorization') ?? '')?.[1]
}

/** The client's network address; empty when what a proxy says is none. */
export function addressOf({ ip = '' }: Request): string {
  return isIP(ip) === 0 ? '' : ip
}

/** Finds out who is calling. A token that isn't valid is refused even where none is needed. */
export function identify(tokens: Tokens, required: boolean): RequestHandler {
  return async (req, res, next) => {
    const text = /^Bearer\s+(\S+)$/i.exec(req.get('authorization') ?? '')?.[1]
    const token = text === undefined ? undefined : await tokens.verify(text)
    if (req.get('authorization') !== undefined && !token) return unauthorized(res, 'the token is not valid')
    if (token) callers.set(req, callerFor(token))
    else if (!required) callers.set(req, ANONYMOUS)
    next()
  }
}

function callerFor(token: Token): Caller {
  return { name: token.name, id: token.id, roles: new Set(token.roles) }
}

/** `admin` may do what `send`, `read` and `records` may; `records` may read. */
const GRANTS: Record<Role, readonly Role[]> = {
  send: ['send', 'admin'],
  read: ['read', 'records', 'admin'],
  records: ['records', 'admin'],
  admin: ['admin'],
}

/** Lets only callers through who have the role. */
export function only(role: Role): RequestHandler {
  return (req: Request, res: Response, next: NextFunction) => {
    const caller = callers.get(req)
    if (!caller) return unauthorized(res, 'a token is needed: Authorization: Bearer firn_...')
    if (GRANTS[role].some((one) => caller.roles.has(one))) return next()
    res.status(403).json({ error: 'forbidden', message: `this needs a token with the role ${role}` })
  }
}

function unauthorized(res: Response, message: string): void {
  res.status(401).set('WWW-Authenticate', 'Bearer realm="firn"').json({ error: 'unauthorized', message })
}
