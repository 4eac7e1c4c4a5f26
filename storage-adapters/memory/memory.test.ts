import { conformance } from '../conformance/conformance.ts'
import { memoryStore } from './memory.ts'

const small = () => memoryStore({ bytesTotal: 100_000 })

conformance('memory', () => memoryStore(), { small })
conformance('memory with locks', () => memoryStore({ objectLock: 'compliance' }), { lockMs: 500 })
conformance('memory with governance locks', () => memoryStore({ objectLock: 'governance' }), { lockMs: 500 })
conformance('cold memory', () => memoryStore({ recallMs: 1 }))
