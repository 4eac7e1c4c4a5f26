import { createRequire } from 'node:module'
import type { DicomDataElement } from '@iwharris/dicom-data-dictionary'
import { LATER_ATTRIBUTE_LINES } from './later-attributes.ts'
import type { Tag } from './types.ts'

/** What the standard says of one attribute (PS3.6). */
export interface DictionaryEntry {
  keyword: string
  /** The first one where the standard leaves a choice (`US or SS`). */
  vr: string
  /** The others of such a choice, in the standard's order; empty where there is none. */
  otherVrs: readonly string[]
}

interface Dictionary {
  byTag: Map<Tag, DictionaryEntry>
  /** Groups 50xx, 60xx and the like; `x` stands for any digit. */
  repeating: Map<string, DictionaryEntry>
  byKeyword: Map<string, Tag>
}

let loaded: Dictionary | undefined

function load(): Dictionary {
  // Required on first use: the package is a module of 1.2 MB that commands which read no attribute needn't parse.
  const { elements } = createRequire(import.meta.url)('@iwharris/dicom-data-dictionary') as {
    elements: Record<string, DicomDataElement>
  }
  const dictionary: Dictionary = { byTag: new Map(), repeating: new Map(), byKeyword: new Map() }
  for (const element of Object.values(elements)) add(dictionary, element.tag, element.keyword, element.vr)
  for (const line of LATER_ATTRIBUTE_LINES.trimEnd().split('\n')) {
    add(dictionary, line.slice(0, 8), line.slice(12), line.slice(9, 11))
  }
  return dictionary
}

function add(dictionary: Dictionary, writtenTag: string, keyword: string, writtenVr: string): void {
  const tag = writtenTag.replace(/[(),]/g, '').toUpperCase()
  const [vr = '', ...otherVrs] = writtenVr.trim().split(' or ')
  // `See Note` stands for items and delimiters, which are no attributes.
  if (!/^[A-Z]{2}$/.test(vr) || keyword === '') return
  const entry = { keyword, vr, otherVrs }
  if (tag.includes('X')) dictionary.repeating.set(tag, entry)
  else dictionary.byTag.set(tag, entry)
  if (!dictionary.byKeyword.has(keyword)) dictionary.byKeyword.set(keyword, tag.replaceAll('X', '0'))
}

function dictionary(): Dictionary {
  loaded ??= load()
  return loaded
}

/** Odd groups are private (PS3.5 7.8). */
export function isPrivate(tag: Tag): boolean {
  return (Number.parseInt(tag.charAt(3), 16) & 1) === 1
}

/** The standard's entry for a tag; undefined for private and unknown ones. */
export function lookUp(tag: Tag): DictionaryEntry | undefined {
  if (isPrivate(tag)) return undefined
  const { byTag, repeating } = dictionary()
  return byTag.get(tag) ?? repeating.get(`${tag.slice(0, 2)}XX${tag.slice(4)}`) ?? sourceImageIds(tag)
}

/** (0020,31xx) is the one attribute that repeats by element. */
function sourceImageIds(tag: Tag): DictionaryEntry | undefined {
  return tag.startsWith('002031') ? dictionary().repeating.get('002031XX') : undefined
}

/** The VR by dictionary: also UL for group lengths and LO for private creators; undefined for what nobody knows. */
export function vrOf(tag: Tag): string | undefined {
  const entry = lookUp(tag)
  if (entry) return entry.vr
  if (tag.endsWith('0000')) return 'UL'
  return isPrivate(tag) && PRIVATE_CREATOR.test(tag) ? 'LO' : undefined
}

const PRIVATE_CREATOR = /00[1-9A-F][0-9A-F]$/

/** The tag of a keyword; the first group's where it repeats (`OverlayData` is 60003000). */
export function tagOf(keyword: string): Tag | undefined {
  return dictionary().byKeyword.get(keyword)
}

/** The keyword of a tag; undefined for private and unknown ones. */
export function keywordOf(tag: Tag): string | undefined {
  return lookUp(tag)?.keyword
}

/**
 * An attribute as a request names it (PS3.18 8.3.4.1): a tag in eight hexadecimal digits or a keyword, or several of them
 * with dots between, each but the last a sequence. Undefined when a part is neither.
 */
export function parseAttributeId(text: string): Tag[] | undefined {
  const path: Tag[] = []
  for (const part of text.split('.')) {
    const tag = /^[0-9A-Fa-f]{8}$/.test(part) ? part.toUpperCase() : tagOf(part)
    if (tag === undefined) return undefined
    path.push(tag)
  }
  return path
}
