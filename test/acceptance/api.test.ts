import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Firn } from '../support/firn.ts'
import { type Instance, instanceOfSize, makeInstance, uidsOf } from '../support/instances.ts'
import { sha256 } from '../support/part10.ts'
import { newSeed, Random } from '../support/random.ts'
import { get, json, stow } from '../support/web.ts'

const random = new Random(newSeed())

interface Change {
  seq: number
  kind: string
  at: string
  studyUid: string
  seriesUid: string
  sopInstanceUid: string
  sha256: string
}
interface Feed {
  changes: Change[]
  next: number
}
interface Operation {
  parameters?: { name: string; in: string; required?: boolean; schema: object }[]
  responses: Record<string, { description: string }>
}
interface OpenApi {
  openapi: string
  info: { title: string; version: string }
  paths: Record<string, Record<string, Operation>>
}

describe(`own API (seed ${random.seed})`, () => {
  let firn: Firn
  const sent: Instance[] = Array.from({ length: 25 }, () => makeInstance(random))
  const original = instanceOfSize(random, 100)
  const copies = Array.from({ length: 3 }, () => instanceOfSize(random, 200, uidsOf(original)))

  before(async () => {
    firn = await Firn.start({ config: { imports: [{ name: 'old', type: 'folder', folder: 'old' }] } })
    for (const one of [original, ...copies]) await stow(firn.dicomWeb, [one.file])
    await stow(firn.dicomWeb, [original.file])
    for (const batch of [sent.slice(0, 5), sent.slice(5)]) {
      await Promise.all(batch.map((one) => stow(firn.dicomWeb, [one.file])))
    }
  })
  after(async () => {
    await firn.kill()
  })

  async function feed(since: number, limit: number): Promise<Feed> {
    const answer = await get(`${firn.url}/api/v1/changes?since=${since}&limit=${limit}`, 'application/json')
    assert.equal(answer.status, 200)
    return json<Feed>(answer)
  }

  async function wholeFeed(limit: number): Promise<Change[]> {
    const all: Change[] = []
    for (let since = 0; ; ) {
      const { changes, next } = await feed(since, limit)
      all.push(...changes)
      if (changes.length === 0) return all
      since = next
    }
  }

  it('has a change feed in order and without gaps, whatever the page', async () => {
    const all = await wholeFeed(1_000)
    assert.deepEqual(
      all.map((change) => change.seq),
      all.map((_, n) => n + 1),
    )
    assert.deepEqual(await wholeFeed(7), all)
    const stored = all.filter((change) => change.kind === 'instance_stored').map((change) => change.sha256)
    assert.deepEqual([...stored].sort(), [original, ...sent].map((one) => sha256(one.file)).sort())
    const conflicts = all.filter((change) => change.kind === 'instance_conflict').map((change) => change.sha256)
    assert.deepEqual(
      conflicts,
      copies.map((one) => sha256(one.file)),
    )
    for (const change of all) assert.ok(Math.abs(Date.now() - Date.parse(change.at)) < 600_000, change.at)
  })

  it('goes on where a consumer stopped, and says so when there is nothing new', async () => {
    const last = (await wholeFeed(1_000)).length
    const nothing = await feed(last, 10)
    assert.deepEqual([nothing.changes, nothing.next], [[], last])
    const late = makeInstance(random)
    await stow(firn.dicomWeb, [late.file])
    const { changes, next } = await feed(last, 10)
    assert.deepEqual(
      changes.map((change) => [change.seq, change.sopInstanceUid]),
      [[last + 1, late.sopInstanceUid]],
    )
    assert.equal(next, last + 1)
  })

  it('keeps the feed over kill -9 and restart, and goes on counting', async () => {
    const before = await wholeFeed(1_000)
    await firn.kill()
    await firn.start()
    assert.deepEqual(await wholeFeed(1_000), before)
    await stow(firn.dicomWeb, [makeInstance(random).file])
    assert.equal((await feed(before.length, 10)).changes[0]?.seq, before.length + 1)
  })

  it('lists conflicts page by page', async () => {
    const wanted = copies.map((one) => sha256(one.file)).sort()
    const found: string[] = []
    let before = ''
    for (let pages = 0; pages < 10; pages++) {
      const answer = await get(`${firn.url}/api/v1/conflicts?limit=2${before}`, 'application/json')
      const page = json<{ conflicts: { sha256: string; servedSha256: string }[]; next: number | null }>(answer)
      for (const one of page.conflicts) assert.equal(one.servedSha256, sha256(original.file))
      found.push(...page.conflicts.map((one) => one.sha256))
      if (page.next === null) break
      before = `&before=${page.next}`
    }
    assert.deepEqual(found.sort(), wanted)
  })

  it('answers 400 to bad parameters, naming them, and 404 to unknown digests', async () => {
    for (const [path, name] of [
      ['/changes?since=x', 'since'],
      ['/changes?limit=0', 'limit'],
      ['/changes?limit=100000000', 'limit'],
      ['/conflicts?nosuch=1', 'nosuch'],
    ] as const) {
      const answer = await get(`${firn.url}/api/v1${path}`)
      assert.equal(answer.status, 400, path)
      assert.ok(answer.bytes.toString().includes(name), answer.bytes.toString())
    }
    assert.equal((await get(`${firn.url}/api/v1/instances/by-digest/${'0'.repeat(64)}`)).status, 404)
    assert.equal((await get(`${firn.url}/api/v1/instances/by-digest/xyz`)).status, 400)
  })

  it('describes itself in OpenAPI 3.1, and every route of it answers', async () => {
    const document = json<OpenApi>(await get(`${firn.url}/api/v1/openapi.json`))
    assert.match(document.openapi, /^3\.1\.\d+$/)
    assert.ok(document.info.title && document.info.version)
    const routes = Object.entries(document.paths)
    for (const wanted of ['/api/v1/changes', '/api/v1/conflicts']) assert.ok(document.paths[wanted], wanted)
    for (const [path, operations] of routes) {
      for (const [method, operation] of Object.entries(operations)) {
        assert.match(method, /^(get|put|post|delete|options|head|patch|trace)$/)
        const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((found) => found[1])
        const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path')
        assert.deepEqual(declared.map((parameter) => parameter.name).sort(), inPath.sort(), path)
        assert.ok(declared.every((parameter) => parameter.required === true))
        assert.ok(Object.keys(operation.responses).length > 0)
        for (const response of Object.values(operation.responses)) assert.equal(typeof response.description, 'string')
        if (method !== 'get') continue
        const query = path.endsWith('/expiring') ? '?from=2000-01-01&to=2000-01-31' : ''
        const known = path.replace('{store}', 'local').replace('{name}', 'old').replace('{studyUid}', original.studyUid)
        const url = known.replace(/\{\w+\}/g, sha256(original.file)) + query
        const answer = await get(firn.url + url)
        // With one store there is nowhere to move anything, and there is one site. Nothing is held or destroyed
        // here, and nobody has asked for commitment.
        const expected = /\{(id|sopInstanceUid)\}|[/]site$/.test(path) ? 404 : 200
        if (!/\/drain|\/commitments\//.test(path)) assert.equal(answer.status, expected, path)
        assert.ok(operation.responses[answer.status], `${path}: ${answer.status}`)
      }
    }
  })

  it('has metrics that count what was stored', async () => {
    const answer = await get(`${firn.url}/metrics`)
    assert.equal(answer.status, 200)
    assert.match(answer.headers.get('content-type') ?? '', /^text\/plain/)
    const lines = answer.bytes
      .toString()
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
    for (const line of lines) assert.match(line, /^[a-zA-Z_:][\w:]*(\{.*\})? \S+( \d+)?$/)
    assert.ok(lines.some((line) => line.startsWith('firn_')))
    assert.ok(!answer.bytes.toString().includes(original.studyUid), 'no identifiers in labels')
  })

  it('says live and ready', async () => {
    for (const path of ['/health/live', '/health/ready']) assert.equal((await get(firn.url + path)).status, 200)
  })
})
