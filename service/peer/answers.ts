import { PeerError } from '../../replication/ports.ts'
import { refusalSchema } from './wire.ts'

export interface Answer {
  status: number
  body: Buffer
}

/** What the other site said instead of an answer. */
export function refusalOf({ status, body }: Answer): PeerError {
  try {
    const { code, message } = refusalSchema.parse(JSON.parse(body.toString()))
    return new PeerError(code, message)
  } catch {
    return new PeerError('refused', `status ${status} where the other site's Firn was expected`)
  }
}
