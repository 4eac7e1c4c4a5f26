// Writes the table of docs/operating/configuration.md from the configuration's schema:
//   node --import tsx scripts/config-docs.ts
// test/docs.test.ts checks that it is current.
import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { envNames } from '../service/config/load.ts'
import { configSchema } from '../service/config/schema.ts'

export const CONFIGURATION_PAGE = new URL('../docs/operating/configuration.md', import.meta.url)

const BEGIN = '<!-- the rest is made by scripts/config-docs.ts from service/config/schema.ts -->\n'

/** What of JSON Schema the configuration uses. */
interface Node {
  type?: string
  description?: string
  default?: unknown
  enum?: readonly unknown[]
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  items?: Node
  properties?: Record<string, Node>
  required?: readonly string[]
}

/** The page with its table made anew. */
export function withTable(page: string): string {
  const at = page.indexOf(BEGIN)
  if (at < 0) throw new Error(`the page has no line ${BEGIN}`)
  return page.slice(0, at) + BEGIN + tables()
}

/** One table for each group of keys. */
function tables(): string {
  const schema = z.toJSONSchema(configSchema, { io: 'input' }) as Node
  const groups = new Map<string, string[]>()
  for (const [env, path] of envNames(configSchema)) {
    const group = path.length > 1 ? (path[0] as string) : 'general'
    groups.set(group, [...(groups.get(group) ?? []), row(env, path, schema)])
  }
  const head = '| key | environment | default | meaning |\n| --- | --- | --- | --- |\n'
  return [...groups].map(([group, rows]) => `\n## ${group}\n\n${head}${rows.join('\n')}\n`).join('')
}

function row(env: string, path: readonly string[], schema: Node): string {
  const node = path.reduce<Node>((at, key) => at.properties?.[key] ?? {}, schema)
  if (node.description === undefined) throw new Error(`${path.join('.')} has no description`)
  const cells = [
    `\`${path.join('.')}\``,
    `\`${env}\``,
    node.default === undefined ? '' : `\`${JSON.stringify(node.default)}\``,
    [kindOf(node), node.description].filter((text) => text !== '').join('; '),
  ]
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function kindOf(node: Node): string {
  if (node.enum) return `one of ${node.enum.join(', ')}`
  if (node.type === 'boolean') return 'true or false'
  if (node.type === 'array') return node.items?.properties ? `list of \`${fieldsOf(node.items)}\`` : 'list'
  return rangeOf(node)
}

function fieldsOf({ properties = {}, required = [] }: Node): string {
  const fields = Object.entries(properties).map(([name, inner]) => {
    const text = inner.properties ? `${name}: ${fieldsOf(inner)}` : name
    return required.includes(name) ? text : `${text} (optional)`
  })
  return `{ ${fields.join(', ')} }`
}

function rangeOf({ minimum, maximum, exclusiveMinimum }: Node): string {
  const top = maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum
  if (exclusiveMinimum !== undefined) return `above ${exclusiveMinimum}`
  if (minimum !== undefined && top !== undefined) return `${minimum} to ${top}`
  return minimum === undefined ? '' : `at least ${minimum}`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(CONFIGURATION_PAGE, withTable(readFileSync(CONFIGURATION_PAGE, 'utf8')))
}
