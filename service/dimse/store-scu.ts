import type { InstanceRecord } from '../catalogue/ports.ts'
import { EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN } from '../dicom/transfer-syntaxes.ts'
import type { OpenInstances } from '../retrieve/ports.ts'
import type { Association } from './association.ts'
import type { AcceptedContext } from './association-types.ts'
import { CommandField } from './command.ts'
import { CONTEXTS_MAX, type ProposedContext } from './pdu.ts'
import { explicitToImplicit } from './transcode.ts'

const MEDIUM_PRIORITY = 0

/** Who asked for the transfer, when it is a C-MOVE's sub-operation. */
export interface MoveOriginator {
  aeTitle: string
  messageId: number
}

/** A way to send an instance: in its stored form, or transcoded. */
interface Form {
  transferSyntax: string
  convert: ((bytes: AsyncIterable<Buffer>) => AsyncIterable<Buffer>) | undefined
}

/**
 * The forms in which an instance can be sent, the stored one first. Implicit VR little endian, which every peer has to
 * take for uncompressed instances (PS3.5 10.1), is made from explicit VR little endian; nothing else is transcoded.
 */
function formsOf(transferSyntaxUid: string): readonly Form[] {
  const stored: Form = { transferSyntax: transferSyntaxUid, convert: undefined }
  if (transferSyntaxUid !== EXPLICIT_LITTLE_ENDIAN) return [stored]
  return [stored, { transferSyntax: IMPLICIT_LITTLE_ENDIAN, convert: explicitToImplicit }]
}

type Kind = Pick<InstanceRecord, 'sopClassUid' | 'transferSyntaxUid'>

/** One context for each form of each kind of instance, so that the peer can accept every one of them. */
export class ContextList {
  readonly #contexts = new Map<string, ProposedContext>()

  /** False, and nothing added, when it would need more than the 128 contexts of one association. */
  add({ sopClassUid, transferSyntaxUid }: Kind): boolean {
    const missing = formsOf(transferSyntaxUid).filter((form) => !this.#contexts.has(key(sopClassUid, form)))
    if (this.#contexts.size + missing.length > CONTEXTS_MAX) return false
    for (const form of missing) {
      const id = this.#contexts.size * 2 + 1
      const context = { id, abstractSyntax: sopClassUid, transferSyntaxes: [form.transferSyntax] }
      this.#contexts.set(key(sopClassUid, form), context)
    }
    return true
  }

  get contexts(): ProposedContext[] {
    return [...this.#contexts.values()]
  }
}

function key(sopClassUid: string, form: Form): string {
  return `${sopClassUid} ${form.transferSyntax}`
}

function contextFor(association: Association, kind: Kind): { context: AcceptedContext; form: Form } | undefined {
  for (const form of formsOf(kind.transferSyntaxUid)) {
    const context = association.findContext(kind.sopClassUid, form.transferSyntax, !association.isRequestor)
    if (context) return { context, form }
  }
  return undefined
}

/**
 * Reads the first chunk, so that an instance that can't be opened fails before anything of it has been sent. What was read
 * is let go by `return`, also when nobody has begun to iterate.
 */
async function primed(source: AsyncIterable<Buffer>): Promise<AsyncIterableIterator<Buffer>> {
  const iterator = source[Symbol.asyncIterator]()
  let first: IteratorResult<Buffer> | undefined = await iterator.next()
  const body: AsyncIterableIterator<Buffer> = {
    [Symbol.asyncIterator]: () => body,
    next: async () => {
      const result = first ?? (await iterator.next())
      first = undefined
      return result
    },
    return: async () => {
      await iterator.return?.()
      return { value: undefined, done: true as const }
    },
  }
  return body
}

/**
 * C-STORE as SCU (PS3.4 B.2.2): gives the response's status, or undefined when no accepted context fits. Rejects when the
 * instance can't be read, and with AssociationError; an instance that fails half-way ends the association.
 */
export async function sendInstance(
  association: Association,
  record: InstanceRecord,
  instances: OpenInstances,
  originator?: MoveOriginator,
): Promise<number | undefined> {
  const found = contextFor(association, record)
  if (!found) return undefined
  const { context, form } = found
  const stored = instances.open(record).bytes(record.dataSetOffset)
  const body = await primed(form.convert ? form.convert(stored) : stored)
  try {
    const response = await association.call(
      context.id,
      {
        affectedSopClassUid: record.sopClassUid,
        commandField: CommandField.cStore,
        priority: MEDIUM_PRIORITY,
        affectedSopInstanceUid: record.sopInstanceUid,
        ...(originator && {
          moveOriginatorAeTitle: originator.aeTitle,
          moveOriginatorMessageId: originator.messageId,
        }),
      },
      body,
    )
    return response.status
  } finally {
    await body.return?.()
  }
}
