/** What the `firn` command's exit status means. */
export const EXIT = { yes: 0, no: 1, usage: 2, failed: 3 } as const

/** Ends a verb with a message and a status other than "failed". */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}
