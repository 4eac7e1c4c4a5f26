import type { RequestListener } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Serves one request per connection at a time. Node hands over every request of a packet at once (RFC 9112 9.3.2
 * pipelining), and each would hold what it read until the answers before it have gone out.
 */
export function inTurn(listener: RequestListener): RequestListener {
  const lastOn = new WeakMap<Socket, Promise<void>>()
  return (req, res) => {
    const { socket } = req
    const before = lastOn.get(socket)
    const closed = new Promise<void>((resolve) => res.once('close', resolve))
    lastOn.set(socket, closed)
    // Where nothing came meanwhile the next request need not wait for a promise.
    void closed.then(() => lastOn.get(socket) === closed && lastOn.delete(socket))
    if (!before) return void listener(req, res)
    void before.then(() => {
      if (!socket.destroyed) listener(req, res)
    })
  }
}
