import { readFileSync } from 'node:fs'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createServer, type Server, type TLSSocket } from 'node:tls'

/** One message as it came (RFC 5424 6). */
export interface SyslogMessage {
  pri: number
  at: string
  host: string
  app: string
  messageId: string
  /** `SEQ:HASH` of the event that it tells of. */
  event: string
  xml: string
}

export function parseSyslog(text: string): SyslogMessage {
  const head = /^<(\d{1,3})>1 (\S+) (\S+) (\S+) (\d+|-) (\S+) ((?:\[[^\]]*\])+|-) \ufeff?(<[\s\S]*)$/.exec(text)
  if (!head) throw new Error(`no syslog message: ${text.slice(0, 200)}`)
  const [, pri, at = '', host = '', app = '', , messageId = '', data = '', xml = ''] = head
  const event = /event="([^"]*)"/.exec(data)?.[1] ?? ''
  return { pri: Number(pri), at, host, app, messageId, event, xml }
}

/** Takes messages apart that are counted in octets (RFC 5425 4.3). */
class Frames {
  #rest: Buffer = Buffer.alloc(0)

  take(chunk: Buffer): string[] {
    this.#rest = Buffer.concat([this.#rest, chunk])
    const found: string[] = []
    for (;;) {
      const space = this.#rest.indexOf(0x20)
      if (space < 0) return found
      const length = Number(this.#rest.subarray(0, space).toString('latin1'))
      if (!Number.isInteger(length)) throw new Error('a frame without its length')
      if (this.#rest.length < space + 1 + length) return found
      found.push(this.#rest.subarray(space + 1, space + 1 + length).toString())
      this.#rest = this.#rest.subarray(space + 1 + length)
    }
  }
}

export interface ReceiverOptions {
  key: string
  cert: string
  ca?: string
  /** Default: a free one. */
  port?: number
}

/** An audit repository: a real syslog receiver over TLS, that can be slow, and can break off. */
export class AuditRepository {
  readonly messages: SyslogMessage[] = []
  connections = 0
  handshakesFailed = 0
  /** Waits so long before each chunk is looked at. */
  delayMs = 0
  /** Breaks the connection off, without a word, when it has so many messages. */
  breakAfter = Number.POSITIVE_INFINITY
  port = 0
  #server: Server | undefined
  /** Below TLS, where a connection can be reset. */
  readonly #sockets = new Set<Socket>()
  readonly #options: ReceiverOptions

  constructor(options: ReceiverOptions) {
    this.#options = options
    this.port = options.port ?? 0
  }

  async start(): Promise<void> {
    const { key, cert, ca } = this.#options
    const clients = ca === undefined ? {} : { ca: readFileSync(ca), requestCert: true, rejectUnauthorized: true }
    const server = createServer({ key: readFileSync(key), cert: readFileSync(cert), ...clients }, (socket) => {
      this.connections += 1
      socket.on('error', () => undefined)
      void this.#read(socket).catch(() => socket.destroy())
    })
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    server.on('tlsClientError', () => {
      this.handshakesFailed += 1
    })
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve))
    this.port = (server.address() as AddressInfo).port
    this.#server = server
  }

  async #read(socket: TLSSocket): Promise<void> {
    const frames = new Frames()
    for await (const chunk of socket) {
      if (this.delayMs > 0) await delay(this.delayMs)
      for (const text of frames.take(chunk)) {
        if (this.messages.length >= this.breakAfter) {
          this.#reset()
          return
        }
        this.messages.push(parseSyslog(text))
      }
    }
  }

  /** As a crash would: whatever is on its way is lost. */
  async crash(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server?.close(() => resolve()))
    this.#reset()
    await closed
  }

  #reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /** Places of events that were told of, each once, in the order in which they first came. */
  get events(): number[] {
    return [...new Set(this.messages.map(({ event }) => Number(event.split(':')[0])))]
  }

  of(code: string): SyslogMessage[] {
    return this.messages.filter(({ xml }) => xml.includes(`<EventID csd-code="${code}"`))
  }
}
