import type { Command } from 'commander'
import { ConfigError, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { EXIT, Failure } from './exit.ts'

export type Done = (status: number) => void

export interface ConfigOptions {
  config?: string
  data?: string
  host?: string
  httpPort?: string
  dimsePort?: string
}

/** The options by which every verb finds configuration and data folder. */
export function withConfig(command: Command): Command {
  return command
    .option('--config <file>', 'YAML or JSON file; FIRN_... variables and the options below override it')
    .option('--data <dir>', 'data folder (default: ./data)')
}

/** Reads the configuration as `firn start` would. Throws Failure. */
export function configOf(options: ConfigOptions): Config {
  const number = (text: string | undefined): unknown =>
    text === undefined || !/^\d+$/.test(text) ? text : Number(text)
  try {
    return loadConfig({
      file: options.config ?? process.env.FIRN_CONFIG,
      env: process.env,
      flags: {
        dataDir: options.data,
        'http.host': options.host,
        'http.port': number(options.httpPort),
        'dimse.port': number(options.dimsePort),
      },
    })
  } catch (error) {
    if (error instanceof ConfigError) throw new Failure(EXIT.usage, error.message)
    throw error
  }
}

/** What a verb found, as JSON or as words. */
export function print(json: boolean | undefined, value: unknown, words: () => string): void {
  console.log(json ? JSON.stringify(value, null, 2) : words())
}
