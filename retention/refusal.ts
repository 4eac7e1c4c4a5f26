/** Why something was not allowed. Codes are for programs; `message` is a sentence for the person who asked. */
export class RetentionRefusal extends Error {
  readonly code: RefusalCode

  constructor(code: RefusalCode, message: string) {
    super(message)
    this.name = 'RetentionRefusal'
    this.code = code
  }
}

export type RefusalCode =
  /** The actor's roles don't allow it. */
  | 'role_missing'
  /** Somebody else must do it. */
  | 'same_person'
  /** It isn't the turn of this step. */
  | 'wrong_state'
  | 'reason_missing'
  | 'invalid_target'
  | 'unknown_hold'
  | 'already_released'
  /** The study may not be destroyed now; see `Standing`. */
  | 'not_expired'
  | 'receipts_missing'

export function refuse(code: RefusalCode, message: string): never {
  throw new RetentionRefusal(code, message)
}
