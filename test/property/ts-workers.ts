/**
 * Lets threads run TypeScript as the tests themselves do: on Node 20 the loader of the main thread doesn't reach them.
 * Import it before anything that starts a thread from a `.ts` file.
 */
import { syncBuiltinESMExports } from 'node:module'
import threads, { type WorkerOptions } from 'node:worker_threads'

const Plain = threads.Worker

class TypeScriptWorker extends Plain {
  constructor(file: string | URL, options?: WorkerOptions) {
    if (!(file instanceof URL && file.pathname.endsWith('.ts'))) super(file, options)
    else {
      const load = `import('tsx/esm/api').then(({ register }) => { register(); return import(${JSON.stringify(file.href)}) })`
      super(load, { ...options, eval: true })
    }
  }
}

threads.Worker = TypeScriptWorker
syncBuiltinESMExports()
