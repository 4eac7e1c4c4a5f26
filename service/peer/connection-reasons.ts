/** What OpenSSL and Node call a certificate of somebody else's authority, at either end of the line. */
const OTHER_AUTHORITY =
  /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_SELF_|CERT_SIGNATURE_FAILURE|CERT_UNTRUSTED|INVALID_CA|ERR_SSL_TLSV1_ALERT_(UNKNOWN_CA|DECRYPT_ERROR)|ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED)/

/** Why there is no connection to the other site, in words that say what to look at. */
export function reasonOf(error: Error): string {
  const { code = '' } = error as NodeJS.ErrnoException
  const text = error.message || code || 'no connection'
  if (OTHER_AUTHORITY.test(code)) {
    return `the two sites' certificates are not of one authority; both sites need the files of one run of \`firn pair\` (${code})`
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `its certificate is not made for this address; make both sites' files anew by \`firn pair\` with --hosts (${text})`
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    return `no TLS can be agreed on; is peer.tls set at both sites? (${text.trim().split('\n')[0]})`
  }
  return text
}
