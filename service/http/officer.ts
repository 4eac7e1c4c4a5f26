import type { Request } from 'express'
import type { Role } from '../config/tokens.ts'
import type { Officer } from '../retention/officer.ts'
import { addressOf, callerOf } from './auth.ts'

/** Who asks, as the event log names them; `role` is the one by which they were let in, where they have it. */
export function officerOf(req: Request, role: Role): Officer {
  const { name, roles } = callerOf(req)
  const all = [...roles]
  return { name, role: roles.has(role) ? role : (all[0] ?? ''), from: addressOf(req), roles: all }
}
