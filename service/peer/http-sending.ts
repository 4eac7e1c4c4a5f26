import type { ClientRequest, IncomingMessage } from 'node:http'
import { type Copy, PeerError, type Sending } from '../../replication/ports.ts'
import { type Answer, refusalOf } from './answers.ts'
import { OK } from './status-map.ts'
import { PROOF_TRAILER, receiptSchema } from './wire.ts'

/** One instance on its way to the other site, in a request whose trailer holds what is known only at the end. */
export class HttpSending implements Sending {
  readonly #request: ClientRequest
  readonly #timeoutMs: number
  readonly #explain: (error: Error) => PeerError
  readonly #answered: Promise<Answer>
  #failure: PeerError | undefined
  /** Nothing more is to be sent: it was answered, has failed, or was given up. */
  #over = false
  #timer: NodeJS.Timeout | undefined
  #draining: Promise<void> | undefined

  constructor(request: ClientRequest, timeoutMs: number, explain: (error: Error) => PeerError) {
    this.#request = request
    this.#timeoutMs = timeoutMs
    this.#explain = explain
    this.#answered = this.#answer()
    this.#answered.catch(() => undefined)
    // A slow line takes its time over what fills the buffers; the other site says so as long as some of it arrives.
    request.on('information', () => this.#timer?.refresh())
  }

  /** One wait for all that is handed over meanwhile: small instances are, without waiting. */
  async write(chunk: Buffer): Promise<void> {
    if (this.#over || this.#request.write(chunk)) return
    this.#draining ??= this.#drained().finally(() => {
      this.#draining = undefined
    })
    await this.#draining
  }

  /** Slow is fine as long as it moves. */
  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#expect('no progress')
      const done = (): void => {
        // By then it may be the answer that is waited for, under a timer of its own.
        clearTimeout(timer)
        this.#request.off('drain', done)
        this.#request.off('close', done)
        resolve()
      }
      this.#request.on('drain', done)
      this.#request.on('close', done)
    })
  }

  async finish({ sha256, sizeBytes, receivedAt, served }: Parameters<Sending['finish']>[0]): Promise<void> {
    if (this.#failure) throw this.#failure
    const proof: Omit<Copy, 'sopInstanceUid' | 'source'> = { sha256, sizeBytes, receivedAt, served }
    if (!this.#over) {
      this.#request.addTrailers({ [PROOF_TRAILER]: JSON.stringify(proof) })
      this.#request.end()
    }
    this.#expect('no answer in time')
    try {
      const answer = await this.#answered
      if (answer.status !== OK) throw refusalOf(answer)
      const receipt = receiptSchema.safeParse(JSON.parse(answer.body.toString()))
      if (receipt.data?.sha256 === sha256) return
      throw new PeerError('refused', 'the other site holds other bytes than were sent to it')
    } finally {
      clearTimeout(this.#timer)
    }
  }

  abandon(): void {
    this.#over = true
    this.#request.destroy()
  }

  /** The request breaks unless it moves within the time. */
  #expect(otherwise: string): NodeJS.Timeout {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#request.destroy(new Error(otherwise)), this.#timeoutMs)
    return this.#timer
  }

  /** An answer may come before everything was sent: a refusal. */
  #answer(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        // What closes behind an answer, or because nobody wants it any more, says nothing against the way there.
        if (!this.#over) this.#failure = this.#explain(error)
        this.#over = true
        reject(this.#failure ?? error)
      }
      this.#request.once('error', fail)
      this.#request.once('close', () => fail(new Error('the connection was closed')))
      this.#request.once('response', (response: IncomingMessage) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => {
          if (chunks.length < 64) chunks.push(chunk)
        })
        response.once('error', fail)
        response.once('end', () => {
          this.#over = true
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) })
        })
      })
    })
  }
}
