import { connect, createServer, type Server, type Socket } from 'node:net'

/** What the network does to connections from now on. Bytes are counted over all of them, from `set` on. */
export type Weather =
  | 'fine'
  /** Connections are accepted, and nothing is ever answered. */
  | 'silent'
  /** Requests arrive; the connection breaks instead of the answer. */
  | 'answers_lost'
  | { requestBytesMax: number }
  /** The answer breaks off, or stalls, after so many bytes. */
  | { answerBytesMax: number; then: 'break' | 'stall' }

export interface BadNetwork {
  readonly url: string
  set(weather: Weather): void
  stop(): Promise<void>
}

/** A loopback way to a server that fails on demand. */
export async function startBadNetwork(target: string): Promise<BadNetwork> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let weather: Weather = 'fine'
  let [requestBytes, answerBytes] = [0, 0]
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    return socket
  }
  const server: Server = createServer((client) => {
    keep(client)
    const upstream = keep(connect(Number(port), hostname))
    const cut = () => {
      client.destroy()
      upstream.destroy()
    }
    client.on('close', cut)
    upstream.on('close', cut)
    client.on('data', (chunk) => {
      if (weather === 'silent') return
      requestBytes += chunk.length
      if (typeof weather === 'object' && 'requestBytesMax' in weather && requestBytes > weather.requestBytesMax) cut()
      else if (!upstream.write(chunk)) upstream.once('drain', () => client.resume()) && client.pause()
    })
    upstream.on('data', (chunk) => {
      if (weather === 'answers_lost') return cut()
      if (typeof weather === 'object' && 'answerBytesMax' in weather) {
        const left = Math.max(0, weather.answerBytesMax - answerBytes)
        answerBytes += chunk.length
        if (left < chunk.length) {
          if (left > 0) client.write(chunk.subarray(0, left))
          if (weather.then === 'break') setTimeout(cut, 20)
          return
        }
      }
      if (!client.write(chunk)) client.once('drain', () => upstream.resume()) && upstream.pause()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address() as { port: number }
  return {
    url: `http://127.0.0.1:${address.port}`,
    set(next) {
      weather = next
      requestBytes = 0
      answerBytes = 0
    },
    async stop() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
