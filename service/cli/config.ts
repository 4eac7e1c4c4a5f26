import type { Command } from 'commander'
import { redactConfig } from '../config/redact.ts'
import { type ConfigOptions, configOf, type Done, print, withConfig } from './options.ts'

export function addConfigVerbs(program: Command, done: Done): void {
  const config = program.command('config').description('look at the configuration')
  withConfig(config.command('check'))
    .description('say whether a node would start with it')
    .option('--json', 'print as JSON')
    .action((options: ConfigOptions & { json?: boolean }) => {
      configOf(options)
      print(options.json, { valid: true }, () => 'the configuration is valid')
      done(0)
    })
  withConfig(config.command('print'))
    .description('print it complete, with defaults, secrets hidden')
    .option('--json', 'as JSON, which it is anyway')
    .action((options: ConfigOptions) => {
      console.log(JSON.stringify(redactConfig(configOf(options)), null, 2))
      done(0)
    })
}
