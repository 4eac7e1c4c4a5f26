import type { Actor as Person, Role } from '../../retention/actor.ts'
import { type RefusalCode, RetentionRefusal } from '../../retention/refusal.ts'
import { ArchiveError, type ArchiveErrorCode } from '../errors.ts'
import type { Actor } from '../events/event.ts'

/** Who asks for something that persons answer for: as the token says. */
export interface Officer extends Actor {
  readonly roles: readonly Role[]
}

const CODES: Readonly<Record<RefusalCode, ArchiveErrorCode>> = {
  role_missing: 'forbidden',
  same_person: 'forbidden',
  wrong_state: 'conflict',
  reason_missing: 'invalid_request',
  invalid_target: 'invalid_request',
  unknown_hold: 'not_found',
  already_released: 'conflict',
  not_expired: 'conflict',
  receipts_missing: 'unavailable',
}

/** The person behind an officer, for the engine. Throws ArchiveError `forbidden` where nobody is named. */
export function personOf({ name, roles }: Officer): Person {
  if (name === '') {
    throw new ArchiveError(
      'forbidden',
      'this takes a named person: make a token for each records officer (`firn token create --role records --name NAME`), ' +
        'send it as `Authorization: Bearer ...` or in FIRN_TOKEN, and set `auth.required: true`',
    )
  }
  return { id: name, roles }
}

/** What the engine refuses, in the archive's terms. */
export async function refusing<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof RetentionRefusal) throw new ArchiveError(CODES[error.code], error.message, { cause: error })
    throw error
  }
}

export const actorOf = ({ name, role, from }: Officer): Actor => ({ name, role, from })
