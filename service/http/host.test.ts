import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Request, Response } from 'express'
import { onlyOwnNames } from './host.ts'

function answerTo(host: string | undefined, config: { host: string; publicUrl?: string }): number {
  let status = 200
  const res = {
    set: () => res,
    status: (code: number) => {
      status = code
      return res
    },
    json: () => res,
  }
  onlyOwnNames({ publicUrl: undefined, ...config })(
    { headers: { host } } as Request,
    res as unknown as Response,
    () => {},
  )
  return status
}

it('knows its own names and no others', () => {
  const here = { host: '127.0.0.1' }
  for (const host of [
    undefined,
    'localhost',
    'LOCALHOST:8080',
    'localhost.',
    '127.0.0.1',
    '127.9.8.7:1',
    '[::1]:8080',
  ]) {
    assert.equal(answerTo(host, here), 200, host)
  }
  const others = [
    'evil.example',
    '127.0.0.1.evil.example',
    'localhost.evil.example:8080',
    '127.evil',
    '',
    '[::2]',
    '10.0.0.1',
  ]
  for (const host of [...others, 'localhost:80:80', 'x[::1]', 'user@localhost']) {
    assert.equal(answerTo(host, here), 421, host)
  }
  assert.equal(answerTo('pacs.example:443', { ...here, publicUrl: 'https://pacs.example/firn' }), 200)
  assert.equal(answerTo('[::2]:80', { host: '::2' }), 200)
})
