import type { PeerErrorCode } from '../../replication/ports.ts'

/** The only place where the peer protocol's refusals become HTTP status codes. */
const STATUS: Record<Exclude<PeerErrorCode, 'away'>, number> = { busy: 503, refused: 409, never: 422 }

export const peerStatus = (code: Exclude<PeerErrorCode, 'away'>): number => STATUS[code]
export const OK = 200
export const NOT_FOUND = 404
