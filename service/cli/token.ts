import { type Command, Option } from 'commander'
import { ROLES, type Role, Tokens } from '../config/tokens.ts'
import { EXIT } from './exit.ts'
import { type ConfigOptions, configOf, type Done, print, withConfig } from './options.ts'

type Options = ConfigOptions & { json?: boolean }

/** Tokens work the same while a node runs and while it doesn't: the node reads their file again. */
export function addTokenVerbs(program: Command, done: Done): void {
  const token = program.command('token').description('API tokens')
  withConfig(token.command('create'))
    .description('make a token; its text is shown once and kept nowhere')
    .addOption(new Option('--role <role...>', 'what it may do').choices([...ROLES]).makeOptionMandatory())
    .option('--name <name>', 'who uses it; kept with every instance that is sent with it', 'unnamed')
    .option('--json', 'print as JSON')
    .action(async (options: Options & { role: Role[]; name: string }) => {
      const { token: made, text } = await tokensOf(options).create(options.name, options.role)
      print(options.json, { id: made.id, name: made.name, roles: made.roles, token: text }, () => text)
      done(EXIT.yes)
    })
  withConfig(token.command('list'))
    .description('list tokens, without their secrets')
    .option('--json', 'print as JSON')
    .action(async (options: Options) => {
      const listed = (await tokensOf(options).list()).map(({ sha256: _, ...rest }) => rest)
      const line = (one: (typeof listed)[number]) => `${one.id}  ${one.createdAt}  ${one.roles.join(',')}  ${one.name}`
      print(options.json, listed, () => listed.map(line).join('\n') || 'no tokens')
      done(EXIT.yes)
    })
  withConfig(token.command('revoke'))
    .description('make a token useless, within a second')
    .argument('<id>', 'as `firn token list` shows it')
    .option('--json', 'print as JSON')
    .action(async (id: string, options: Options) => {
      const revoked = await tokensOf(options).revoke(id)
      print(options.json, { id, revoked }, () => (revoked ? `revoked ${id}` : `there is no token ${id}`))
      done(revoked ? EXIT.yes : EXIT.no)
    })
}

function tokensOf(options: Options): Tokens {
  return new Tokens(configOf(options).dataDir)
}
