import { parentPort, workerData } from 'node:worker_threads'
import type { DatabaseOptions } from './connect.ts'
import { driverMessage } from './driver-message.ts'
import type { WriterReply, WriterRequest } from './writer.ts'
import { Rows } from './writes.ts'

/**
 * The thread that writes, the only one that does. A commit is a dozen statements one after the other, each of which
 * waits its turn in the event loop; the main thread's is full of instances, this one's is free.
 */
const rows = new Rows(workerData as DatabaseOptions)

async function answer({ id, kind, input }: WriterRequest): Promise<WriterReply> {
  try {
    return { id, result: await rows[kind](input as never) }
  } catch (error) {
    return { id, error: driverMessage(error) }
  }
}

parentPort?.on('message', (request: WriterRequest) => {
  void answer(request).then((reply) => parentPort?.postMessage(reply))
})
