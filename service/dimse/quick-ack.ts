import { createRequire } from 'node:module'
import type { Socket } from 'node:net'

/** From <netinet/in.h> and <netinet/tcp.h> of Linux. */
const IPPROTO_TCP = 6
const TCP_QUICKACK = 12

type SetSockOpt = (fd: number, level: number, option: number, value: number[], length: number) => number

/** setsockopt(2), which Node doesn't offer for this option; undefined where it can't be had. */
const setSockOpt = load()

function load(): SetSockOpt | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    const koffi = createRequire(import.meta.url)('koffi')
    return koffi.load('libc.so.6').func('int setsockopt(int, int, int, const int *, uint32_t)')
  } catch {
    // An optional dependency: without it Firn is right, and slow with senders that leave Nagle's algorithm on.
    return undefined
  }
}

/**
 * Has the kernel acknowledge at once what a socket has received (tcp(7), TCP_QUICKACK; not lasting). Senders with Nagle's
 * algorithm on, such as dcmtk's storescu by default, write a command in two pieces and hold the second one back until the
 * first is acknowledged, for which our kernel would take its time: 40 ms an instance.
 */
export function acknowledgeNow(socket: Socket): void {
  const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd
  if (setSockOpt && fd !== undefined && fd >= 0) setSockOpt(fd, IPPROTO_TCP, TCP_QUICKACK, [1], 4)
}
