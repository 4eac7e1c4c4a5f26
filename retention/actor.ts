import { refuse } from './refusal.ts'

export type Role = 'records' | 'admin' | 'send' | 'read'

/** Who does something, as the token said. Two actors are the same person if and only if their `id`s are equal. */
export interface Actor {
  readonly id: string
  readonly roles: readonly Role[]
}

/** Only a records officer may judge what is kept. An administrator keeps the machine, and so must not decide what it forgets. */
export function requireRecords(actor: Actor, deed: string): void {
  if (actor.id.trim() === '') refuse('role_missing', `nobody is named who would ${deed}`)
  if (!actor.roles.includes('records')) refuse('role_missing', `the role "records" is needed to ${deed}`)
}

/** The person's id without what a keyboard adds: two spellings must not make two persons. */
export const personKey = (id: string): string => id.normalize('NFKC').trim().toLowerCase()

export function requireOther(actor: Actor, before: readonly string[], deed: string): void {
  if (before.some((id) => personKey(id) === personKey(actor.id))) refuse('same_person', `somebody else must ${deed}`)
}

export function requireReason(reason: string): string {
  const text = reason.trim()
  if (text === '' || text.length > 2000) refuse('reason_missing', 'a reason is needed, of at most 2,000 characters')
  return text
}
