import type { Incoming, Receipt, Receive } from '../ingest/ports.ts'

/** Resolves when the receipt was taken note of: until then the sender waits. */
type Note = (receipt: Receipt) => Promise<void>

/**
 * Instances that arrive by themselves because an old archive was asked to send them (C-MOVE): whoever asked is told of those
 * of its study. Everything else passes untouched.
 */
export class Arrivals {
  readonly #watched = new Map<string, Set<Note>>()

  /** The same use case, watched. */
  watching(receive: Receive): Receive {
    return {
      receive: async (incoming: Incoming): Promise<Receipt> => {
        const receipt = await receive.receive(incoming)
        const notes = incoming.source.protocol === 'dimse' ? this.#watched.get(receipt.studyUid) : undefined
        if (notes) await Promise.all([...notes].map((note) => note(receipt)))
        return receipt
      },
    }
  }

  /** Returns what ends it. */
  watch(studyUid: string, note: Note): () => void {
    const notes = this.#watched.get(studyUid) ?? new Set()
    this.#watched.set(studyUid, notes.add(note))
    return () => {
      notes.delete(note)
      if (notes.size === 0 && this.#watched.get(studyUid) === notes) this.#watched.delete(studyUid)
    }
  }
}
