import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { SyslogConfig } from '../config/audit.ts'
import { counted } from './frame.ts'
import type { Connect, Connection } from './ports.ts'

const CONNECT_MS = 10_000
/** A receiver that takes nothing for so long is given up; one that is slow may take its time. */
const STALLED_MS = 60_000

export function connector(config: SyslogConfig): Connect {
  return config.transport === 'udp' ? () => udp(config) : (signal) => tls(config, signal)
}

/** RFC 5425. Files are read at each connection, so that a renewed certificate needs no restart. */
async function tls(config: SyslogConfig, signal: AbortSignal): Promise<Connection> {
  const { host, port, ca, cert, key, serverName = host, confirm } = config
  const socket = connectTls({
    host,
    port,
    // An address can't be a server name (RFC 6066 3); the certificate is checked for it all the same.
    ...(/^[\d.]+$|:/.test(serverName) ? {} : { servername: serverName }),
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca: readFileSync(ca) }),
    ...(cert === undefined ? {} : { cert: readFileSync(cert) }),
    ...(key === undefined ? {} : { key: readFileSync(key) }),
  })
  const connection = new TlsConnection(socket, confirm === 'close')
  const abort = (): void => connection.destroy()
  signal.addEventListener('abort', abort)
  try {
    await connection.secured()
  } finally {
    signal.removeEventListener('abort', abort)
  }
  return connection
}

class TlsConnection implements Connection {
  readonly #socket: TLSSocket
  readonly #confirm: boolean
  readonly #gone = new AbortController()
  #error: Error | undefined
  #ended = false

  constructor(socket: TLSSocket, confirm: boolean) {
    this.#socket = socket
    this.#confirm = confirm
    socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error('no answer in time')))
    socket.on('error', (error) => {
      this.#error ??= error
    })
    socket.on('end', () => {
      this.#ended = true
    })
    socket.on('close', () => this.#gone.abort())
    // Receivers have nothing to say; what they say must not fill the buffer and hide their end.
    socket.resume()
  }

  get gone(): AbortSignal {
    return this.#gone.signal
  }

  async secured(): Promise<void> {
    await this.#unlessGone((done) => this.#socket.once('secureConnect', done))
    this.#socket.setTimeout(STALLED_MS, () => this.#socket.destroy(new Error('the receiver takes nothing')))
  }

  async send(message: Buffer): Promise<void> {
    if (this.#gone.signal.aborted || this.#ended) throw this.#why()
    if (this.#socket.write(counted(message))) return
    await this.#unlessGone((done) => this.#socket.once('drain', done))
  }

  /**
   * A receiver must answer the end of its connection with its own (RFC 5425 4.4), and reads in order: when it has, it has
   * read all of it. There is no other acknowledgement in syslog. One that has closed by itself before may not have.
   */
  async end(): Promise<void> {
    if (this.#gone.signal.aborted || this.#ended) throw this.#why()
    const written = new Promise<void>((done) => this.#socket.end(() => done()))
    if (!this.#confirm) return this.#unlessGone((done) => void written.then(done))
    await new Promise<void>((done) => this.#gone.signal.addEventListener('abort', () => done(), { once: true }))
    if (this.#error || !this.#ended) throw this.#why()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #why(): Error {
    return this.#error ?? new Error('the receiver has closed the connection')
  }

  async #unlessGone(wait: (done: () => void) => void): Promise<void> {
    const { signal } = this.#gone
    if (signal.aborted) throw this.#why()
    await new Promise<void>((resolve, reject) => {
      const lost = (): void => reject(this.#why())
      signal.addEventListener('abort', lost, { once: true })
      wait(() => {
        signal.removeEventListener('abort', lost)
        resolve()
      })
    })
  }
}

/** RFC 5426: one message a datagram, and nobody knows whether it came. */
async function udp({ host, port }: SyslogConfig): Promise<Connection> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  const gone = new AbortController()
  let failed: Error | undefined
  socket.on('error', (error) => {
    failed = error
  })
  return {
    gone: gone.signal,
    async send(message) {
      if (failed) throw failed
      await new Promise<void>((resolve, reject) =>
        socket.send(message, port, host, (error) => (error ? reject(error) : resolve())),
      )
    },
    async end() {
      socket.close()
      if (failed) throw failed
    },
    destroy: () => socket.close(),
  }
}
