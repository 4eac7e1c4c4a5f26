import type { Command } from 'commander'
import { EXIT, Failure } from './exit.ts'
import { ask, type WithNode, withNode } from './node.ts'
import { type Done, print } from './options.ts'

interface Hold {
  id: string
  state: string
  assurance: string
  on: { studyUid: string | null; patient: string | null; query: string | null; studies: number }
  case: string
  reason: string
  holder: string
  placedBy: string
  placedAt: string
  releasedBy: string[]
  tooLate: string[]
}

type Placing = WithNode & {
  study?: string
  patient?: string
  issuer?: string
  match?: string[]
  case: string
  reason: string
  holder: string
}

/** Persons answer for these, so each works with the token of a records officer, in FIRN_TOKEN. */
export function addHoldVerbs(program: Command, done: Done): void {
  const hold = program.command('hold').description('what must not be destroyed, whatever its date')
  withNode(hold.command('place'))
    .description('place a hold; takes the token of a records officer in FIRN_TOKEN')
    .option('--study <uid>', 'on a study')
    .option('--patient <id>', 'on a patient, studies that come later too')
    .option('--issuer <issuer>', "of the patient's ID")
    .option('--match <key=value...>', 'on the studies that a query finds now, such as 00080060=CT or 00080020=2010-')
    .requiredOption('--case <reference>', 'file number or the like')
    .requiredOption('--reason <text>', 'why')
    .requiredOption('--holder <name>', 'for whom: a court, a department')
    .action(async (options: Placing) => {
      const made = (await ask(options, '/api/v1/holds', 'POST', placing(options))) as Hold
      print(options.json, made, () => line(made))
      done(made.tooLate.length === 0 ? EXIT.yes : EXIT.no)
    })
  withNode(hold.command('release'))
    .description("agree to a hold's release; the second records officer's consent releases it")
    .argument('<id>', 'of the hold')
    .requiredOption('--reason <text>', 'why')
    .action(async (id: string, options: WithNode & { reason: string }) => {
      const { reason } = options
      const path = `/api/v1/holds/${encodeURIComponent(id)}/release`
      const now = (await ask(options, path, 'POST', { reason })) as Hold
      print(options.json, now, () => line(now))
      done(EXIT.yes)
    })
  withNode(hold.command('list'))
    .description('list holds, those that are active unless asked otherwise')
    .option('--all', 'those that were released too')
    .action(async (options: WithNode & { all?: boolean }) => {
      const found: Hold[] = []
      let after = ''
      do {
        const path = `/api/v1/holds?state=${options.all ? 'all' : 'active'}${after}`
        const { holds, next } = (await ask(options, path)) as { holds: Hold[]; next: string | null }
        found.push(...holds)
        after = next === null ? '' : `&after=${encodeURIComponent(next)}`
      } while (after !== '')
      print(options.json, found, () => found.map(line).join('\n') || 'no holds')
      done(EXIT.yes)
    })
}

function placing({ study, patient, issuer, match, case: caseReference, reason, holder }: Placing) {
  const query = match && Object.fromEntries(match.map(keyAndValue))
  return {
    ...(study === undefined ? {} : { studyUid: study }),
    ...(patient === undefined ? {} : { patient: { patientId: patient, ...(issuer === undefined ? {} : { issuer }) } }),
    ...(query ? { query } : {}),
    ...{ case: caseReference, reason, holder },
  }
}

function keyAndValue(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new Failure(EXIT.usage, `--match ${text}: a tag, =, and a value`)
  return [text.slice(0, at).toUpperCase(), text.slice(at + 1)]
}

function line({
  id,
  state,
  assurance,
  on,
  case: caseReference,
  holder,
  placedBy,
  placedAt,
  releasedBy,
  tooLate,
}: Hold) {
  const what = on.studyUid ?? on.patient ?? `${on.studies} studies of a query`
  const agreed = state === 'active' && releasedBy.length > 0 ? `, ${releasedBy.join(', ')} would release it` : ''
  const late = tooLate.length > 0 ? `; NOT held, as they are being destroyed: ${tooLate.join(', ')}` : ''
  return `${id}  ${state}, ${assurance}  ${what}  ${caseReference} for ${holder}, by ${placedBy} at ${placedAt}${agreed}${late}`
}
