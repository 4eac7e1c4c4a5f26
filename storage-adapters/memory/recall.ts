import type { Recallable } from '../contract/adapter.ts'
import { throwIfAborted } from '../contract/errors.ts'

interface Finder {
  readonly now: () => Date
  find(key: string): { onlineAt: number }
}

export function recallMethods(store: Finder, recallMs: number): Recallable {
  return {
    async requestRecall(keys, signal) {
      throwIfAborted(signal)
      const onlineAt = store.now().getTime() + recallMs
      for (const object of keys.map((key) => store.find(key))) object.onlineAt = Math.min(object.onlineAt, onlineAt)
    },
    async recallState(key, signal) {
      throwIfAborted(signal)
      const { onlineAt } = store.find(key)
      if (onlineAt <= store.now().getTime()) return 'online'
      return onlineAt === Number.POSITIVE_INFINITY ? 'cold' : 'requested'
    },
  }
}
