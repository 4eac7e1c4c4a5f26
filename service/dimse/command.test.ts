import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Command, CommandError, CommandField, commandName, decodeCommand, encodeCommand } from './command.ts'

const word = fc.nat(0xffff)
const uid = fc.stringMatching(/^[1-9][0-9.]{0,62}[1-9]$/)
const command: fc.Arbitrary<Command> = fc.record(
  {
    commandField: word,
    commandDataSetType: word,
    affectedSopClassUid: uid,
    messageId: word,
    messageIdBeingRespondedTo: word,
    status: word,
    errorComment: fc.stringMatching(/^[A-Za-z]{1,64}$/),
    offendingElement: fc.array(fc.nat(0xffffffff), { minLength: 1, maxLength: 4 }),
    affectedSopInstanceUid: uid,
    moveDestination: fc.stringMatching(/^[A-Z]{1,16}$/),
    remainingSubOperations: word,
  },
  { requiredKeys: ['commandField', 'commandDataSetType'] },
)

/** Without the null prototypes that fast-check mixes in. */
function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value))
}

test('command sets survive a round trip and say their length', () => {
  fc.assert(
    fc.property(command, (each) => {
      const bytes = encodeCommand(each)
      assert.deepEqual(decodeCommand(bytes), plain(each))
      assert.equal(bytes.length % 2, 0)
      assert.equal(bytes.readUInt32LE(8), bytes.length - 12)
    }),
  )
})

test('any bytes are decoded or refused with CommandError', () => {
  const decode = (bytes: Buffer) => {
    try {
      decodeCommand(bytes)
    } catch (error) {
      assert.ok(error instanceof CommandError, String(error))
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => decode(Buffer.from(bytes))))
  fc.assert(
    fc.property(command, fc.nat(), fc.nat(255), (each, at, value) => {
      const bytes = encodeCommand(each)
      bytes[at % bytes.length] = value
      decode(bytes)
    }),
  )
})

test('commands have the names of the standard', () => {
  assert.equal(commandName(CommandField.cStore), 'C-STORE')
  assert.equal(commandName(CommandField.nEventReport | 0x8000), 'N-EVENT-REPORT')
  assert.equal(commandName(0x7777), 'unknown')
})
