import type { JsonPersonName } from './types.ts'

/** Decodes the text of one data set (PS3.3 C.12.1.1.2). No method throws, whatever the bytes. */
export interface CharacterDecoder {
  /** One text without trimming or splitting. */
  text(bytes: Buffer): string
  /** The values of a text VR, split at backslashes where the VR may have several, trimmed as PS3.5 6.2 says. */
  values(bytes: Buffer, vr: string): string[]
  /** The values of a PN element; an empty value is an empty object. */
  personName(bytes: Buffer): JsonPersonName[]
}

/** `specificCharacterSet`: the value of (0008,0005), several terms separated by `\`; undefined is the default repertoire. */
export function decoderFor(specificCharacterSet: string | undefined): CharacterDecoder {
  throw new Error(`not yet: ${specificCharacterSet}`)
}

/** Form for case- and accent-insensitive search. */
export function searchForm(text: string): string {
  throw new Error(`not yet: ${text}`)
}

/** The search form of each component group, '' where the name has none. */
export function searchForms(name: JsonPersonName): Required<JsonPersonName> {
  throw new Error(`not yet: ${name}`)
}
