/** A media type with its parameters (RFC 9110 8.3.1); names in lower case, values as they are. */
export interface MediaType {
  type: string
  parameters: Readonly<Record<string, string>>
  /** Quality of an Accept entry. */
  q: number
}

const TEXT_CHARS_MAX = 4096
const ENTRIES_MAX = 32

/** Undefined when the text is no media type. */
export function parseMediaType(text: string): MediaType | undefined {
  const pieces = split(text.slice(0, TEXT_CHARS_MAX), ';')
  const type = (pieces[0] ?? '').trim().toLowerCase()
  if (!/^[\w!#$&^.+*-]+\/[\w!#$&^.+*-]+$/.test(type)) return undefined
  const parameters: Record<string, string> = {}
  for (const piece of pieces.slice(1)) {
    const equals = piece.indexOf('=')
    if (equals < 0) continue
    const value = piece.slice(equals + 1).trim()
    parameters[piece.slice(0, equals).trim().toLowerCase()] = value.startsWith('"')
      ? value.slice(1, value.endsWith('"') ? -1 : undefined).replace(/\\(.)/g, '$1')
      : value
  }
  const q = Number(parameters.q ?? 1)
  return { type, parameters, q: Number.isNaN(q) ? 1 : q }
}

/** The entries of an Accept header, the client's favourite first. Without one everything is welcome. */
export function parseAccept(header: string | undefined): MediaType[] {
  if (header === undefined || header.trim() === '') return [{ type: '*/*', parameters: {}, q: 1 }]
  const entries = split(header.slice(0, TEXT_CHARS_MAX), ',').slice(0, ENTRIES_MAX)
  const types = entries.map(parseMediaType).filter((type) => type !== undefined && type.q > 0) as MediaType[]
  return types.sort((a, b) => b.q - a.q)
}

/** Splits outside quotes. */
function split(text: string, separator: ',' | ';'): string[] {
  const pieces: string[] = []
  let piece = ''
  let quoted = false
  for (const char of text) {
    if (char === '"') quoted = !quoted
    if (char === separator && !quoted) {
      pieces.push(piece)
      piece = ''
    } else piece += char
  }
  return [...pieces, piece]
}
