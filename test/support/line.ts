import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** What happens to the bytes on the line from now on. `requests` go to the server, `answers` come from it. */
export type LineState =
  | 'fine'
  /** Packets are lost, and nobody hears of it: bytes wait, and no end of a connection is seen, until it is fine again. */
  | { held: 'requests' | 'answers' | 'both' }
  /** Requests arrive; the connection breaks instead of the answer. */
  | 'answers-lost'
  | { delayMs: number; bytesPerSecond: number }

type Direction = 'requests' | 'answers'

/** A line between two machines, as a TCP proxy on loopback that gets bad on demand. Stop it after those who use it. */
export class Line {
  readonly port: number
  #state: LineState = 'fine'
  #changed = signal()
  readonly #freeAt = { requests: 0, answers: 0 }
  readonly #sockets = new Set<Socket>()
  readonly #close: () => void

  private constructor(port: number, close: () => void) {
    this.port = port
    this.#close = close
  }

  static async to(target: number): Promise<Line> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => line.#join(client, target))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const line: Line = new Line((server.address() as { port: number }).port, () => server.close())
    return line
  }

  set(state: LineState): void {
    this.#state = state
    this.#changed.give()
    this.#changed = signal()
  }

  stop(): void {
    this.#close()
    for (const socket of this.#sockets) socket.destroy()
    this.set('answers-lost')
  }

  #join(client: Socket, target: number): void {
    const server = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true })
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.on('error', () => undefined).on('close', () => this.#sockets.delete(socket))
    }
    void this.#carry('requests', client, server)
    void this.#carry('answers', server, client)
  }

  async #carry(direction: Direction, from: Socket, to: Socket): Promise<void> {
    let delivered = Promise.resolve()
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        await this.#passed(direction)
        if (this.#state === 'answers-lost' && direction === 'answers') break
        const { arrived } = await this.#sent(direction, chunk.length)
        delivered = delivered.then(() => arrived).then(() => write(to, chunk))
        if (to.destroyed) break
      }
    } catch {
      // A connection that broke here breaks there too.
    }
    await delivered
    await this.#passed(direction)
    from.destroy()
    to.destroy()
  }

  /** Resolves when nothing is held in this direction. */
  async #passed(direction: Direction): Promise<void> {
    while (typeof this.#state === 'object' && 'held' in this.#state) {
      if (this.#state.held !== 'both' && this.#state.held !== direction) return
      await this.#changed.given
    }
  }

  /** Resolves when a chunk is on the line, which all connections share, with what resolves when it has arrived. */
  async #sent(direction: Direction, bytes: number): Promise<{ arrived: Promise<void> }> {
    if (typeof this.#state !== 'object' || !('delayMs' in this.#state)) return { arrived: Promise.resolve() }
    const { delayMs, bytesPerSecond } = this.#state
    const now = performance.now()
    const freeAt = Math.max(this.#freeAt[direction], now) + (bytes / bytesPerSecond) * 1000
    this.#freeAt[direction] = freeAt
    await delay(freeAt - now)
    return { arrived: delay(delayMs) }
  }
}

async function write(to: Socket, chunk: Buffer): Promise<void> {
  if (to.destroyed || to.write(chunk)) return
  await new Promise<void>((resolve) => to.once('drain', resolve).once('close', resolve))
}

function signal(): { given: Promise<void>; give: () => void } {
  let give = (): void => undefined
  const given = new Promise<void>((resolve) => {
    give = resolve
  })
  return { given, give }
}
