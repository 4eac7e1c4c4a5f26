import type { StorageAdapter } from '../contract/adapter.ts'
import { bodyOf } from '../contract/body.ts'
import { isStorageError, type StorageErrorCode } from '../contract/errors.ts'
import { type Clock, systemClock } from './clock.ts'
import { type Around, layer, type Operation } from './layer.ts'

export interface Observation {
  readonly store: string
  /** `get` ends when the body is there, `read` when it has ended. */
  readonly operation: Operation | 'read'
  readonly durationMs: number
  /** Of the object, for a `put` that succeeded; that were given, for a `read`. */
  readonly bytes: number
  /** `unexpected` is what no adapter may throw. A `read` that its reader left early is `aborted`. */
  readonly outcome: 'ok' | StorageErrorCode | 'unexpected'
}

/** Tells what was done, how long it took and how it ended. */
export function metrics(
  inner: StorageAdapter,
  observe: (observation: Observation) => void,
  clock: Clock = systemClock,
): StorageAdapter {
  const start = (operation: Observation['operation']) => {
    const startedAt = clock.now()
    return (outcome: Observation['outcome'], bytes = 0) =>
      observe({ store: inner.id, operation, durationMs: clock.now() - startedAt, bytes, outcome })
  }
  const timed = async <T>(operation: Operation, next: () => Promise<T>, bytes = 0): Promise<T> => {
    const end = start(operation)
    try {
      const value = await next()
      end('ok', bytes)
      return value
    } catch (error) {
      end(outcomeOf(error))
      throw error
    }
  }
  const around: Around = ({ operation }, next) => timed(operation, next)
  return layer(inner, around, {
    put: (key, source, options) => timed('put', () => inner.put(key, source, options), source.sizeBytes),
    async get(key, options) {
      const { stat, body } = await timed('get', () => inner.get(key, options))
      const end = start('read')
      let bytes = 0
      let outcome: Observation['outcome'] = 'aborted'
      async function* counted(): AsyncGenerator<Buffer> {
        try {
          for await (const chunk of body) {
            bytes += (chunk as Buffer).length
            yield chunk as Buffer
          }
          outcome = 'ok'
        } catch (error) {
          outcome = outcomeOf(error)
          throw error
        }
      }
      const release = () => {
        body.destroy()
        end(outcome, bytes)
      }
      return { stat, body: bodyOf(counted(), { release, signal: options?.signal }) }
    },
    async *list(options) {
      const end = start('list')
      let outcome: Observation['outcome'] = 'ok'
      try {
        yield* inner.list(options)
      } catch (error) {
        outcome = outcomeOf(error)
        throw error
      } finally {
        end(outcome)
      }
    },
  })
}

function outcomeOf(error: unknown): StorageErrorCode | 'unexpected' {
  return isStorageError(error) ? error.code : 'unexpected'
}
