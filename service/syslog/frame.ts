/** Facility 10 (security), severity 5 (notice), 4 (warning) for what failed: PS3.15 A.6. */
const PRI = { notice: 85, warning: 84 } as const

export interface SyslogHeader {
  host: string
  processId: number
}

export interface SyslogEvent {
  at: string
  failed: boolean
  /** The event's place in the site's log: the receiver knows by it what it has already, and holds a head of the log. */
  seq: number
  hash: string
  xml: string
}

const APP_NAME = 'firn'
/** RFC 5424 7.3.1: a number that begins anew behind its greatest. */
const SEQUENCE_MAX = 2_147_483_647
/** The number that RFC 5612 keeps for examples and for those who have none of their own. */
const ENTERPRISE = 32473
const BOM = '\ufeff'

/** A syslog message (RFC 5424 6) that carries an audit message (PS3.15 A.6), in UTF-8. */
export function syslogMessage({ at, failed, seq, hash, xml }: SyslogEvent, { host, processId }: SyslogHeader): Buffer {
  const pri = failed ? PRI.warning : PRI.notice
  const name = host.replace(/[^\x21-\x7e]/g, '').slice(0, 255) || '-'
  const data = `[meta sequenceId="${((seq - 1) % SEQUENCE_MAX) + 1}"][firn@${ENTERPRISE} event="${seq}:${hash}"]`
  return Buffer.from(`<${pri}>1 ${at} ${name} ${APP_NAME} ${processId} DICOM+RFC3881 ${data} ${BOM}${xml}`)
}

/** Octet counting (RFC 5425 4.3): how long it is, then the message. */
export function counted(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${message.length} `), message])
}
