import { describe } from 'node:test'
import { abilityTests, fullTests } from './abilities.ts'
import { type ConformanceOptions, type StoreFactory, Suite } from './fixture.ts'
import { getTests } from './gets.ts'
import { listTests } from './lists.ts'
import { lockTests } from './locks.ts'
import { lieTests, putTests } from './puts.ts'
import { removeTests } from './removes.ts'
import { signalTests } from './signals.ts'

export type { ConformanceOptions, StoreFactory, StoreUnderTest } from './fixture.ts'

/**
 * Registers the tests that every storage adapter and every wrapper passes, with node's test runner. All of them share one
 * store that `factory` makes, empty; each uses keys of its own. What a capability promises is tested where the adapter
 * declares it, and that it is refused where it doesn't.
 */
export function conformance(name: string, factory: StoreFactory, options: ConformanceOptions = {}): void {
  describe(`conformance of ${name}`, () => {
    const suite = new Suite(factory, options)
    abilityTests(suite)
    putTests(suite)
    lieTests(suite)
    getTests(suite)
    listTests(suite)
    removeTests(suite)
    lockTests(suite)
    signalTests(suite)
    fullTests(suite)
  })
}
