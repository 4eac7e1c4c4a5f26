import { encodePart10Header } from '../dicom/fileMeta.ts'
import { transferSyntaxes } from '../dicom/transfer-syntaxes.ts'
import type { DicomJson } from '../dicom/types.ts'
import { storageSopClasses } from '../dicom/uids.ts'
import type { Operation } from './association-types.ts'
import { CommandField } from './command.ts'
import { CONTEXTS_MAX, type ProposedContext } from './pdu.ts'
import { associate, asUnavailable, queryContext, retrieve, type ScuOptions, STUDY_ROOT_GET } from './query-scu.ts'
import { Status } from './status-map.ts'

/** An instance that a peer sends because it was asked for: a Part 10 file, with Firn's own header. */
export interface ReceivedInstance {
  sopInstanceUid: string
  body: AsyncIterable<Buffer>
}

/** One is handed over at a time; the next one is not read from the peer before it was taken and let go of. */
class Handover {
  #offered: { instance: ReceivedInstance; done(): void } | undefined
  #wake: (() => void) | undefined
  #over = false

  /** Resolves when the instance was taken and is done with, or nobody takes any more. */
  offer(instance: ReceivedInstance): Promise<void> {
    if (this.#over) return Promise.resolve()
    return new Promise((done) => {
      this.#offered = { instance, done }
      this.#wake?.()
    })
  }

  /** Nothing more is offered, or taken. */
  close(): void {
    this.#over = true
    this.#offered?.done()
    this.#wake?.()
  }

  async *taken(): AsyncGenerator<ReceivedInstance> {
    for (;;) {
      const offered = this.#offered
      if (offered) {
        yield offered.instance
        this.#offered = undefined
        offered.done()
      } else if (this.#over) return
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }
}

/**
 * C-GET as SCU (PS3.4 C.4.3): Firn is storage SCP on its own association by role selection. Each SOP Class is proposed in
 * one context for each transfer syntax, so that the peer can send every instance as it has it.
 */
export async function* getInstances(
  options: ScuOptions,
  identifier: DicomJson,
  sopClassUids: ReadonlySet<string>,
  signal: AbortSignal,
): AsyncGenerator<ReceivedInstance> {
  const handover = new Handover()
  const contexts = [queryContext(1, STUDY_ROOT_GET), ...storageContexts(sopClassUids)]
  const classes = new Set(contexts.slice(1).map(({ abstractSyntax }) => abstractSyntax))
  const { association, context, end } = await associate(
    {
      ...options,
      contexts,
      roles: [...classes].map((sopClassUid) => ({ sopClassUid, scu: false, scp: true })),
      operate: (operation) => store(operation, handover),
    },
    STUDY_ROOT_GET,
    signal,
  )
  let isWhole = false
  const ended = retrieve(association, context, { identifier, peer: options.peer }).finally(() => handover.close())
  ended.catch(() => undefined)
  try {
    yield* handover.taken()
    await ended
    isWhole = true
  } catch (error) {
    throw asUnavailable(error)
  } finally {
    handover.close()
    // Whoever leaves early wants nothing more of it.
    if (!isWhole) association.abort('the rest is not wanted')
    await end()
  }
}

async function store(operation: Operation, handover: Handover): Promise<void> {
  const { association, command, context, dataSet } = operation
  const { affectedSopClassUid: sopClassUid = '', affectedSopInstanceUid: sopInstanceUid = '' } = command
  if (command.commandField !== CommandField.cStore || !dataSet) {
    await dataSet?.discard()
    await association.respond(operation, { status: Status.unrecognizedOperation })
    return
  }
  const header = encodePart10Header({ sopClassUid, sopInstanceUid, transferSyntaxUid: context.transferSyntax })
  await handover.offer({ sopInstanceUid, body: withHeader(header, dataSet) })
  await dataSet.discard()
  if (association.ended.aborted) return
  await association.respond(operation, { status: Status.success, affectedSopInstanceUid: sopInstanceUid })
}

async function* withHeader(header: Buffer, dataSet: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield header
  try {
    yield* dataSet
  } catch (error) {
    throw asUnavailable(error)
  }
}

/** As many as one association has room for; where the peer doesn't say which SOP Classes there are, one context for each. */
function storageContexts(sopClassUids: ReadonlySet<string>): ProposedContext[] {
  const all = [...transferSyntaxes.keys()]
  const wanted =
    sopClassUids.size > 0
      ? all.flatMap((syntax) => [...sopClassUids].map((abstractSyntax) => ({ abstractSyntax, syntaxes: [syntax] })))
      : [...storageSopClasses.keys()].map((abstractSyntax) => ({ abstractSyntax, syntaxes: all }))
  return wanted
    .slice(0, CONTEXTS_MAX - 1)
    .map(({ abstractSyntax, syntaxes }, n) => ({ id: 2 * n + 3, abstractSyntax, transferSyntaxes: syntaxes }))
}
