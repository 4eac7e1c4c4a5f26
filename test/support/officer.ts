import assert from 'node:assert/strict'
import type { DicomOptions } from '../fixtures/dicom.ts'
import type { Firn } from './firn.ts'
import { type Instance, makeInstance } from './instances.ts'
import { sha256 } from './part10.ts'
import type { Random } from './random.ts'
import { get, json, send, stow } from './web.ts'

/** Who rejects and corrects by the API, and looks whether the bytes stay. */
export class Officer {
  readonly firn: Firn
  readonly #random: Random

  constructor(firn: Firn, random: Random) {
    this.firn = firn
    this.#random = random
  }

  async call(method: string, path: string, body?: object) {
    const init: RequestInit = { method }
    if (body) Object.assign(init, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
    const answer = await send(`${this.firn.url}/api/v1${path}`, init)
    return { status: answer.status, body: answer.bytes.length > 0 ? json<Record<string, unknown>>(answer) : {} }
  }

  async ok(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
    const answer = await this.call(method, path, body)
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
    return answer.body
  }

  async store(...instances: Instance[]): Promise<void> {
    for (const { file } of instances) assert.equal((await stow(this.firn.dicomWeb, [file])).status, 200)
  }

  /** A study of two series with two instances each. */
  study(options: DicomOptions = {}): Instance[] {
    const studyUid = this.#random.uid()
    const series = [this.#random.uid(), this.#random.uid()]
    return [0, 1, 2, 3].map((n) =>
      makeInstance(this.#random, {
        studyUid,
        seriesUid: series[n >> 1] as string,
        modality: n < 2 ? 'CT' : 'MR',
        instanceNumber: n,
        ...options,
      }),
    )
  }

  async sameBytes(instances: readonly Instance[]): Promise<void> {
    for (const { file } of instances) {
      const kept = await get(`${this.firn.url}/api/v1/instances/by-digest/${sha256(file)}`)
      assert.equal(kept.status, 200)
      assert.ok(kept.bytes.equals(file), 'the bytes are as they came')
    }
  }
}
