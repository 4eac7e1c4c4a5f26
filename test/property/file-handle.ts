import { open } from 'node:fs/promises'
import { type Mock, mock } from 'node:test'

/** The methods of node's FileHandle that the landing and the event log read and write through. */
export type FileCall = 'read' | 'write' | 'writev' | 'datasync' | 'sync' | 'truncate'
type Method = (this: unknown, ...args: unknown[]) => Promise<unknown>

const probe = await open(import.meta.filename, 'r')
const prototype = Object.getPrototypeOf(probe) as Record<FileCall, Method>
await probe.close()

/** Stands in front of a call of every open file of this process until `mock.restoreAll()`. */
export function intercept(
  call: FileCall,
  handler: (original: () => Promise<unknown>, args: unknown[], again: Method) => Promise<unknown>,
): Mock<Method> {
  const original = prototype[call]
  return mock.method(prototype, call, function (this: unknown, ...args: unknown[]) {
    const again: Method = (...others) => original.apply(this, others)
    return handler(() => original.apply(this, args), args, again)
  })
}

export function ioError(code: 'EIO' | 'ENOSPC' | 'EDQUOT'): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: made up by a test`), { code })
}

/** The `nth` call (from 1) fails, all others work. */
export function failNth(call: FileCall, nth: number, code: 'EIO' | 'ENOSPC' | 'EDQUOT'): void {
  let calls = 0
  intercept(call, (original) => {
    calls += 1
    return calls === nth ? Promise.reject(ioError(code)) : original()
  })
}
