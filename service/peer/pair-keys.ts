import 'reflect-metadata'
import { randomBytes, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'

/** PEM texts with which one site proves to the other who it is. */
export interface SiteKeys {
  key: string
  cert: string
  /** The authority of both: whoever shows a certificate of it is the other site. */
  ca: string
}

export interface SiteOfPair {
  name: string
  /** Names and IP addresses under which the other site will reach it. */
  hosts: readonly string[]
}

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
/** Certificates are valid also where a clock is years off: no clock may part two sites, and keys are changed by hand. */
const NOT_BEFORE = new Date('2000-01-01T00:00:00Z')
const YEARS = 30

/**
 * Keys and certificates (ECDSA P-256, RFC 5280) of two sites. The authority's private key is never written anywhere and
 * is gone when this returns, so that no third certificate can ever be made: lost or leaked keys are replaced at both
 * sites together.
 */
export async function makePairKeys(sites: readonly [SiteOfPair, SiteOfPair]): Promise<[SiteKeys, SiteKeys]> {
  x509.cryptoProvider.set(webcrypto)
  const notAfter = new Date()
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + YEARS)
  const validity = { notBefore: NOT_BEFORE, notAfter, signingAlgorithm: EC }
  const authority = await newKeys()
  const issuer = `CN=Firn pair ${sites.map(({ name }) => name).join(' and ')}`
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity,
    serialNumber: serial(),
    name: issuer,
    keys: authority,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(authority.publicKey),
    ],
  })
  const sign = async ({ name, hosts }: SiteOfPair): Promise<SiteKeys> => {
    const keys = await newKeys()
    const cert = await x509.X509CertificateGenerator.create({
      ...validity,
      serialNumber: serial(),
      issuer,
      subject: `CN=${name}`,
      publicKey: keys.publicKey,
      signingKey: authority.privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        new x509.SubjectAlternativeNameExtension(
          hosts.map((host) => ({ type: isIP(host) === 0 ? 'dns' : 'ip', value: host })),
        ),
        await x509.AuthorityKeyIdentifierExtension.create(ca),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    })
    const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
    return {
      key: pem(x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')),
      cert: pem(cert.toString()),
      ca: pem(ca.toString()),
    }
  }
  return [await sign(sites[0]), await sign(sites[1])]
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(EC, true, ['sign', 'verify'])
}

/** 16 bytes that are a positive integer of that length. */
function serial(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] as number) & 0x7f) | 0x40
  return bytes.toString('hex')
}

const pem = (text: string): string => `${text.trim()}\n`
