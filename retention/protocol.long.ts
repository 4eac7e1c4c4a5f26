/**
 * `npx tsx retention/protocol.long.ts`: the model check of `protocol.test.ts` with both sites restored from old backups, one
 * after the other or together; about a minute. It found that a confirmation from before a restore must not count.
 */
import { ALL_RULES } from './protocol.ts'
import { search } from './testing/protocol-model.ts'

const { states, trace, what } = search(ALL_RULES, { proposals: 1, restores: 2, extends: false })
console.log(what === undefined ? `${states} states, all safe` : `${what}: ${trace?.join(' -> ')}`)
process.exitCode = what === undefined ? 0 : 1
