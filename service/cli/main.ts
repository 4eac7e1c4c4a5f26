import { Command, CommanderError } from 'commander'
import { VERSION } from '../version.ts'
import { addAuditVerbs } from './audit.ts'
import { addConfigVerbs } from './config.ts'
import { addDispositionVerbs } from './disposition.ts'
import { addEventVerbs } from './events.ts'
import { EXIT, Failure } from './exit.ts'
import { addHoldVerbs } from './hold.ts'
import { addImportVerbs } from './import.ts'
import { addOfflineVerbs } from './offline.ts'
import { addPairVerb } from './pair.ts'
import { addReconcileVerb } from './reconcile.ts'
import { addRetentionVerbs } from './retention.ts'
import { addSiteVerbs } from './site.ts'
import { addStart } from './start.ts'
import { addStatusVerbs } from './status.ts'
import { addStoreVerbs } from './stores.ts'
import { addTierVerbs } from './tiers.ts'
import { addTokenVerbs } from './token.ts'

/** The `firn` command. Resolves with its exit status: 0 yes, 1 no, 2 wrong usage, 3 failed. */
export async function main(argv: readonly string[]): Promise<number> {
  // Patients' data is for this user and its group.
  process.umask(0o027)
  const program = new Command('firn')
    .description('Long-term archive for medical images')
    .version(VERSION)
    .showHelpAfterError()
    .exitOverride()
  let status: number = EXIT.yes
  const done = (code: number): void => {
    status = code
  }
  for (const add of [
    addStart,
    addStatusVerbs,
    addStoreVerbs,
    addTierVerbs,
    addImportVerbs,
    addReconcileVerb,
    addSiteVerbs,
    addPairVerb,
    addConfigVerbs,
    addTokenVerbs,
    addOfflineVerbs,
    addEventVerbs,
    addRetentionVerbs,
    addHoldVerbs,
    addDispositionVerbs,
    addAuditVerbs,
  ])
    add(program, done)
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return status
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.yes : EXIT.usage
    console.error(`firn: ${(error as Error).message}`)
    return error instanceof Failure ? error.status : EXIT.failed
  }
}
