import type { DigestEntry, LocalCopies } from './ports.ts'

/** Which of these copies this site doesn't hold, or serves differently. */
export async function lacking(
  local: Pick<LocalCopies, 'describe'>,
  entries: readonly DigestEntry[],
): Promise<boolean[]> {
  const answers: boolean[] = []
  for (const entry of entries) {
    const copy = await local.describe(entry)
    answers.push(copy === undefined || copy.served !== entry.served)
  }
  return answers
}
