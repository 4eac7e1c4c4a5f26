/**
 * What the database said, without the statement that knex puts before it: the statement holds patients' names, which
 * belong neither into a log nor into an answer.
 */
export function driverMessage(error: unknown): string {
  const { message, code } = error as { message?: string; code?: string }
  const said = (message ?? String(error)).split(' - ').at(-1) ?? ''
  return code === undefined || said.includes(code) ? said : `${code}: ${said}`
}
