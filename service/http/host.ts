import { isIPv4 } from 'node:net'
import type { RequestHandler } from 'express'
import type { Config } from '../config/schema.ts'

/**
 * Where no token is needed, being on this machine is all that a client has to prove, and any web page opened here can do
 * that: it lets its own name resolve to 127.0.0.1 (DNS rebinding). Its requests still carry that name as their Host.
 */
export function onlyOwnNames({ host, publicUrl }: Pick<Config['http'], 'host' | 'publicUrl'>): RequestHandler {
  const own = new Set(['localhost', '[::1]', host.includes(':') ? `[${host}]` : host.toLowerCase()])
  if (publicUrl !== undefined) own.add(new URL(publicUrl).hostname)
  return (req, res, next) => {
    // Only HTTP/1.0 may leave it out, and no browser does.
    const name = nameOf(req.headers.host ?? 'localhost')
    if (own.has(name) || (isIPv4(name) && name.startsWith('127.'))) return next()
    res
      .set('Connection', 'close')
      .status(421)
      .json({
        error: 'misdirected',
        message:
          'without tokens Firn answers only under its own names: localhost, http.host, and the name in http.publicUrl. ' +
          'To reach it through a load balancer or by another name, set http.publicUrl, or auth.required',
      })
  }
}

/** The Host header's name in lower case, without port. */
function nameOf(header: string): string {
  return (/^(\[[^\]]*\]|[^:]*)(?::\d*)?$/.exec(header)?.[1] ?? '').toLowerCase().replace(/\.$/, '')
}
