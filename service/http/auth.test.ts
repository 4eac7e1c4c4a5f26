import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Request, RequestHandler, Response } from 'express'
import { tempDir } from '../../test/support/host.ts'
import { ROLES, type Role, Tokens } from '../config/tokens.ts'
import { callerOf, identify, only } from './auth.ts'

/** Runs handlers one after the other; the status of the first that answers, or 200 and the caller. */
async function pass(handlers: readonly RequestHandler[], authorization?: string) {
  const req = { get: (name: string) => (name.toLowerCase() === 'authorization' ? authorization : undefined) } as Request
  let status = 200
  const headers: Record<string, string> = {}
  const res = {
    status(code: number) {
      status = code
      return res
    },
    set(name: string, value: string) {
      headers[name.toLowerCase()] = value
      return res
    },
    json: () => res,
  }
  for (const handler of handlers) {
    let went = false
    await handler(req, res as unknown as Response, () => {
      went = true
    })
    if (!went) return { status, headers, caller: callerOf(req) }
  }
  return { status, headers, caller: callerOf(req) }
}

/** Which roles let a token through a door. */
const GRANTED: Record<Role, readonly Role[]> = {
  send: ['send', 'admin'],
  read: ['read', 'records', 'admin'],
  records: ['records', 'admin'],
  admin: ['admin'],
}

describe('who may do what', () => {
  test('each role opens its own doors and no others', async () => {
    const tokens = new Tokens(tempDir('auth'))
    for (const role of ROLES) {
      const { text } = await tokens.create(`a ${role}`, [role])
      for (const door of ROLES) {
        const { status, caller } = await pass([identify(tokens, true), only(door)], `Bearer ${text}`)
        assert.equal(status, GRANTED[door].includes(role) ? 200 : 403, `${role} at ${door}`)
        assert.equal(caller.name, `a ${role}`)
      }
    }
    const { text } = await tokens.create('nobody', [])
    for (const door of ROLES)
      assert.equal((await pass([identify(tokens, true), only(door)], `Bearer ${text}`)).status, 403)
  })

  test('without a token doors are closed where tokens are required, and open where they are not', async () => {
    const tokens = new Tokens(tempDir('auth'))
    for (const door of ROLES) {
      const closed = await pass([identify(tokens, true), only(door)])
      assert.equal(closed.status, 401)
      assert.match(closed.headers['www-authenticate'] ?? '', /^Bearer/)
      assert.equal((await pass([identify(tokens, false), only(door)])).status, 200)
    }
  })

  test('a token that is not valid is refused even where none is needed', async () => {
    const tokens = new Tokens(tempDir('auth'))
    const { token, text } = await tokens.create('PACS', ['admin'])
    await tokens.revoke(token.id)
    for (const header of [`Bearer ${text}`, 'Bearer', 'Basic YTpi', '', `bearer  ${text}x`, text]) {
      for (const required of [true, false]) {
        assert.equal((await pass([identify(tokens, required), only('read')], header)).status, 401, header)
      }
    }
  })

  test('the scheme is written as one likes', async () => {
    const tokens = new Tokens(tempDir('auth'))
    const { text } = await tokens.create('PACS', ['read'])
    assert.equal((await pass([identify(tokens, true), only('read')], `bearer   ${text}`)).status, 200)
  })
})
