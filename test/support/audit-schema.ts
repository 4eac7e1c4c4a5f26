/**
 * The RELAX NG schema of audit messages (PS3.15 A.5.1.1), checked by hand: elements in their order, how often they may
 * come, attributes with their values. Written from the standard, and independent of the code that makes the messages.
 */

export interface Element {
  name: string
  attributes: Record<string, string>
  children: Element[]
  text: string
}

/** A parser for well-formed XML without comments, processing instructions (but the first) and CDATA. Throws. */
export function parseXml(text: string): Element {
  const body = text.replace(/^<\?xml[^?]*\?>/, '')
  const root: Element = { name: '', attributes: {}, children: [], text: '' }
  const open = [root]
  const token = /<\/([\w:.-]+)>|<([\w:.-]+)((?:\s+[\w:.-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/y
  while (token.lastIndex < body.length) {
    const at = token.lastIndex
    const found = token.exec(body)
    if (!found) throw new Error(`not well-formed at ${at}: ${body.slice(at, at + 60)}`)
    const [, end, start, pairs = '', isEmpty, words] = found
    const inner = open.at(-1) as Element
    if (words !== undefined) inner.text += unescapeXml(words)
    else if (start !== undefined) {
      const element = { name: start, attributes: attributesOf(pairs), children: [], text: '' }
      inner.children.push(element)
      if (isEmpty !== '/') open.push(element)
    } else if (open.pop()?.name !== end) throw new Error(`</${end}> ends nothing`)
  }
  if (open.length !== 1 || root.children.length !== 1) throw new Error('not one element')
  return root.children[0] as Element
}

function attributesOf(pairs: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const [, name = '', value = ''] of pairs.matchAll(/([\w:.-]+)="([^"]*)"/g)) {
    if (name in found) throw new Error(`${name} twice`)
    found[name] = unescapeXml(value)
  }
  return found
}

const NAMED: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function unescapeXml(text: string): string {
  return text.replace(/&(#?\w*);?/g, (all, name: string) => {
    if (!all.endsWith(';')) throw new Error(`a bare & in ${text}`)
    const character = name.startsWith('#') ? String.fromCodePoint(Number(name.slice(1))) : NAMED[name]
    if (character === undefined) throw new Error(`unknown ${all}`)
    return character
  })
}

type Value = RegExp | ((text: string) => boolean)
interface Rule {
  attributes?: Record<string, Value>
  optional?: Record<string, Value>
  /** In order: name, least, most. A list of names means one of them. */
  children?: readonly (readonly [string | readonly string[], number, number])[]
  text?: Value
}

const MANY = Number.POSITIVE_INFINITY
const token: Value = (text) => text === text.trim().replace(/\s+/g, ' ')
const anything: Value = () => true
const boolean = /^(true|false|0|1)$/
const base64 = /^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const dateTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/
const upTo =
  (most: number): Value =>
  (text) =>
    /^[1-9]\d?$/.test(text) && Number(text) <= most

const CODED: Rule = {
  attributes: { 'csd-code': token, codeSystemName: token, originalText: token },
  optional: { displayName: token },
}

const RULES: Record<string, Rule> = {
  AuditMessage: {
    children: [
      ['EventIdentification', 1, 1],
      ['ActiveParticipant', 1, MANY],
      ['AuditSourceIdentification', 1, 1],
      ['ParticipantObjectIdentification', 0, MANY],
    ],
  },
  EventIdentification: {
    attributes: { EventDateTime: dateTime, EventOutcomeIndicator: /^(0|4|8|12)$/ },
    optional: { EventActionCode: /^[CRUDE]$/ },
    children: [
      ['EventID', 1, 1],
      ['EventTypeCode', 0, MANY],
      ['EventOutcomeDescription', 0, 1],
    ],
  },
  EventOutcomeDescription: { text: anything },
  EventID: CODED,
  EventTypeCode: CODED,
  RoleIDCode: CODED,
  MediaType: CODED,
  ParticipantObjectIDTypeCode: CODED,
  MediaIdentifier: { children: [['MediaType', 1, 1]] },
  ActiveParticipant: {
    attributes: { UserID: anything, UserIsRequestor: boolean },
    optional: {
      AlternativeUserID: anything,
      UserName: anything,
      NetworkAccessPointID: token,
      NetworkAccessPointTypeCode: upTo(5),
    },
    children: [
      ['RoleIDCode', 0, MANY],
      ['MediaIdentifier', 0, 1],
    ],
  },
  AuditSourceIdentification: {
    attributes: { AuditSourceID: token },
    optional: { AuditEnterpriseSiteID: token },
    children: [['AuditSourceTypeCode', 0, MANY]],
  },
  AuditSourceTypeCode: {
    attributes: { 'csd-code': token },
    optional: { codeSystemName: token, displayName: token, originalText: token },
  },
  ParticipantObjectIdentification: {
    attributes: { ParticipantObjectID: token },
    optional: {
      ParticipantObjectTypeCode: upTo(4),
      ParticipantObjectTypeCodeRole: upTo(26),
      ParticipantObjectDataLifeCycle: upTo(15),
      ParticipantObjectSensitivity: token,
    },
    children: [
      ['ParticipantObjectIDTypeCode', 1, 1],
      [['ParticipantObjectName', 'ParticipantObjectQuery'], 1, 1],
      ['ParticipantObjectDetail', 0, MANY],
      ['ParticipantObjectDescription', 0, MANY],
    ],
  },
  ParticipantObjectName: { text: token },
  ParticipantObjectQuery: { text: base64 },
  ParticipantObjectDetail: { attributes: { type: token, value: base64 } },
  ParticipantObjectDescription: {
    children: [
      ['MPPS', 0, MANY],
      ['Accession', 0, MANY],
      ['SOPClass', 0, MANY],
      ['ParticipantObjectContainsStudy', 0, 1],
      ['Encrypted', 0, 1],
      ['Anonymized', 0, 1],
    ],
  },
  MPPS: { attributes: { UID: token } },
  Accession: { attributes: { Number: token } },
  SOPClass: {
    attributes: { NumberOfInstances: /^-?\d+$/ },
    optional: { UID: token },
    children: [['Instance', 0, MANY]],
  },
  Instance: { attributes: { UID: token } },
  ParticipantObjectContainsStudy: { children: [['StudyIDs', 0, MANY]] },
  StudyIDs: { attributes: { UID: token } },
  Encrypted: { text: boolean },
  Anonymized: { text: boolean },
}

const fits = (value: Value, text: string): boolean => (value instanceof RegExp ? value.test(text) : value(text))

/** What is wrong with a message by the schema; empty when it is valid. */
export function schemaFaults(element: Element, path = element.name): string[] {
  const rule = RULES[element.name]
  if (!rule) return [`${path}: no such element`]
  const faults: string[] = []
  const { attributes = {}, optional = {}, children = [], text } = rule
  for (const name of Object.keys(attributes)) if (!(name in element.attributes)) faults.push(`${path}: no ${name}`)
  for (const [name, value] of Object.entries(element.attributes)) {
    const wanted = attributes[name] ?? optional[name]
    if (!wanted) faults.push(`${path}: no attribute is called ${name}`)
    else if (!fits(wanted, value)) faults.push(`${path}: ${name} is ${JSON.stringify(value)}`)
  }
  if (text ? !fits(text, element.text) : element.text.trim() !== '') faults.push(`${path}: text ${element.text}`)
  let at = 0
  for (const [names, least, most] of children) {
    let count = 0
    while (at < element.children.length && [names].flat().includes(element.children[at]?.name ?? '')) {
      at += 1
      count += 1
    }
    if (count < least || count > most) faults.push(`${path}: ${count} of ${[names].flat().join(' or ')}`)
  }
  if (at < element.children.length) faults.push(`${path}: ${element.children[at]?.name} stands out of place`)
  return [...faults, ...element.children.flatMap((child) => schemaFaults(child, `${path}/${child.name}`))]
}

/** All elements of a name, at any depth. */
export function elements(element: Element, name: string): Element[] {
  return element.children.flatMap((child) => [...(child.name === name ? [child] : []), ...elements(child, name)])
}
