import type { Config } from './schema.ts'

const HIDDEN = '[redacted]'
const SECRET_KEY = /(secret|password|passphrase|token|credential)/i

/** A copy for logs and `firn config print`: passwords in URLs and values under secret-sounding keys are hidden. */
export function redactConfig(config: Config): unknown {
  return redact(config)
}

function redact(value: unknown): unknown {
  if (typeof value === 'string') return redactUrl(value)
  if (Array.isArray(value)) return value.map(redact)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, child]) => [
      key,
      SECRET_KEY.test(key) && typeof child === 'string' ? HIDDEN : redact(child),
    ]),
  )
}

function redactUrl(text: string): string {
  if (!/^[a-z]+:\/\//i.test(text) || !URL.canParse(text)) return text
  const url = new URL(text)
  if (url.password === '' && ![...url.searchParams.keys()].some((key) => SECRET_KEY.test(key))) return text
  if (url.password !== '') url.password = 'redacted'
  for (const key of url.searchParams.keys()) if (SECRET_KEY.test(key)) url.searchParams.set(key, 'redacted')
  return url.href
}
