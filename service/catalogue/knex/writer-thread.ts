import { parentPort, workerData } from 'node:worker_threads'
import { commit } from './commit.ts'
import { type DatabaseOptions, openDatabase } from './connect.ts'
import { KeptIds } from './kept-ids.ts'
import type { WriterReply, WriterRequest } from './writer.ts'

/**
 * The thread that writes. A commit is a dozen statements one after the other, each of which waits its turn in the event
 * loop; the main thread's is full of instances, this one's is free.
 */
const database = openDatabase(workerData as DatabaseOptions)
const ids = new KeptIds()

async function answer(request: WriterRequest): Promise<WriterReply> {
  const { id } = request
  try {
    if (request.kind === 'record') return { id, result: await commit(database.write, ids, request.instances) }
    if (request.kind === 'digests') return { id, result: await digests(request.uids) }
    if (request.kind === 'forget') ids.forget()
    else await database.close()
    return { id, result: [] }
  } catch (error) {
    return { id, error: (error as Error).message }
  }
}

/** Of served and conflicting copies, as [uid, sha256]. */
async function digests(uids: readonly string[]): Promise<[string, string][]> {
  const conflicts = database.read('conflicts').whereIn('uid', uids).select('uid', 'sha256')
  const rows: { uid: string; sha256: string }[] = await database
    .read('instances')
    .whereIn('uid', uids)
    .select('uid', 'sha256')
    .unionAll(conflicts)
  return rows.map(({ uid, sha256 }) => [uid, sha256])
}

parentPort?.on('message', (request: WriterRequest) => {
  void answer(request).then((reply) => parentPort?.postMessage(reply))
})
