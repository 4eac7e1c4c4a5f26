import { digestOf } from './canonical.ts'
import { type Decision, reproduce } from './policy.ts'
import type { Policy } from './rule.ts'

/**
 * A decision as an event keeps it: the policy by its digest, because the policy itself is an event of its own and a
 * million decisions share it; the results left out, because they follow from the rest.
 */
export interface DecisionRecord extends Omit<Decision, 'inputs' | 'results'> {
  readonly inputs: Omit<Decision['inputs'], 'policy'> & {
    readonly policy: { readonly id: string; readonly version: string; readonly digest: string }
  }
}

const digests = new WeakMap<Policy, string>()

/** SHA-256 of a policy's canonical JSON: the name by which decisions refer to it. */
export function policyDigest(policy: Policy): string {
  const known = digests.get(policy)
  if (known !== undefined) return known
  const digest = digestOf(policy)
  // Only what can't change may be remembered.
  if (Object.isFrozen(policy)) digests.set(policy, digest)
  return digest
}

export function toRecord(decision: Decision): DecisionRecord {
  const { inputs, results: _results, ...rest } = decision
  const { policy, ...others } = inputs
  return {
    ...rest,
    inputs: { ...others, policy: { id: policy.id, version: policy.version, digest: policyDigest(policy) } },
  }
}

/** A record that doesn't say what its own inputs give: written by other code, or altered. */
export class RecordMismatch extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'RecordMismatch'
  }
}

/**
 * The whole decision again, from its record and the policies that were ever in force, by digest. Throws RecordMismatch
 * where the policy is missing, or evaluating it gives another answer than was recorded.
 */
export function fromRecord(record: DecisionRecord, policies: ReadonlyMap<string, Policy>): Decision {
  const { digest, id } = record.inputs.policy
  const policy = policies.get(digest)
  if (!policy || policyDigest(policy) !== digest) throw new RecordMismatch(`policy ${id} (${digest}) is not known`)
  const decision = reproduce({ inputs: { ...record.inputs, policy } })
  if (digestOf(toRecord(decision)) !== digestOf(record)) {
    throw new RecordMismatch(`the decision on ${record.studyUid} is not what its inputs give`)
  }
  return decision
}
