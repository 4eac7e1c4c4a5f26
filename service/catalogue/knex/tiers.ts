import type { Knex } from 'knex'
import type { StoreHolding } from '../ports.ts'
import type { Alarm, CatalogueTiers, Leftover, LookedAt, Pin, StoreDay } from '../tier-ports.ts'
import { type PackRow, withCopies } from './packs.ts'
import type { TierChange } from './tier-writes.ts'

export interface TierWriter {
  tiers(change: TierChange): Promise<void>
  setMeta(key: string, value: string): Promise<void>
}

interface LookRow extends PackRow {
  next_look: string
  last_used: string
}

/** See CatalogueTiers. */
export class KnexTiers implements CatalogueTiers {
  readonly #read: Knex
  readonly #writer: TierWriter

  constructor(read: Knex, writer: TierWriter) {
    this.#read = read
    this.#writer = writer
  }

  async volumes(): Promise<{ volume: string; packs: number; bytes: number }[]> {
    return (await tallies(this.#read, 'volume ')).map(({ name, ...held }) => ({ volume: name, ...held }))
  }

  holdings(): Promise<StoreHolding[]> {
    return holdings(this.#read)
  }

  async volumeOf(studyUid: string): Promise<string | undefined> {
    return (await this.#read('packs').where({ study_uid: studyUid }).orderBy('id').first('volume'))?.volume
  }

  async modalitiesOf(studyUid: string): Promise<readonly string[]> {
    return listed((await this.#read('studies').where({ uid: studyUid }).first('modalities'))?.modalities)
  }

  async packsToLook(
    upTo: string,
    { limit, after }: { limit: number; after?: { day: string; id: number } },
  ): Promise<LookedAt[]> {
    const page = this.#read('packs').where('next_look', '<=', upTo).orderBy(['next_look', 'id']).limit(limit)
    // A row comparison, which both databases answer from the index.
    if (after) page.whereRaw('(next_look, id) > (?, ?)', [after.day, after.id])
    return this.#facts(await page)
  }

  async #facts(rows: readonly LookRow[]): Promise<LookedAt[]> {
    const uids = [...new Set(rows.map(({ study_uid }) => study_uid))]
    const studies = await this.#read('studies')
      .whereIn('uid', uids)
      .select('uid', 'study_date', 'first_received', 'modalities')
    const byUid = new Map(studies.map((study) => [study.uid, study]))
    const pinned = new Set((await activePins(this.#read).whereIn('study_uid', uids)).map(({ study_uid }) => study_uid))
    const packs = await withCopies(this.#read, rows)
    return rows.map((row, index) => {
      const study = byUid.get(row.study_uid)
      return {
        pack: packs[index] as LookedAt['pack'],
        day: row.next_look,
        studyDate: isoDay(study?.study_date),
        received: (study?.first_received ?? row.sealed_at).slice(0, 10),
        lastUsed: row.last_used,
        modalities: listed(study?.modalities),
        pinned: pinned.has(row.study_uid),
      }
    })
  }

  setNextLooks(looks: readonly { pack: number; day: string }[]): Promise<void> {
    return this.#writer.tiers({ kind: 'next_looks', looks })
  }

  lookAgain(range: { from: number; to: number } | { studyUid: string }): Promise<void> {
    return this.#writer.tiers(
      'studyUid' in range ? { kind: 'look_again_study', ...range } : { kind: 'look_again', ...range },
    )
  }

  async lastPack(): Promise<number> {
    return Number((await this.#read('packs').max({ last: 'id' }).first())?.last ?? 0)
  }

  markUsed(packs: readonly number[], day: string): Promise<void> {
    return this.#writer.tiers({ kind: 'used', packs, day })
  }

  recordDay(days: readonly StoreDay[], forgetBefore: string): Promise<void> {
    return this.#writer.tiers({ kind: 'days', days, forgetBefore })
  }

  async days(since: string): Promise<StoreDay[]> {
    const rows = await this.#read('store_days').where('day', '>=', since).orderBy(['day', 'store'])
    return rows.map(({ day, store, bytes, bytes_total, bytes_free }) => ({
      day,
      store,
      bytes,
      bytesTotal: bytes_total,
      bytesFree: bytes_free,
    }))
  }

  alarms(): Promise<Alarm[]> {
    return this.#read('alarms').orderBy(['subject', 'alarm']).select('subject', 'alarm', 'detail', 'since')
  }

  raise(alarm: Alarm): Promise<void> {
    return this.#writer.tiers({ kind: 'raise', alarm })
  }

  clear({ subject, alarm }: Pick<Alarm, 'subject' | 'alarm'>): Promise<void> {
    return this.#writer.tiers({ kind: 'clear', subject, alarm })
  }

  async pins(): Promise<Pin[]> {
    const rows = await activePins(this.#read).orderBy('at', 'desc')
    return rows.map(({ id, study_uid, reason, by, at }) => ({ id, studyUid: study_uid, reason, by, at }))
  }

  leftovers(limit: number): Promise<Leftover[]> {
    return this.#read('leftovers').orderBy(['pack', 'store']).limit(limit).select('pack', 'store')
  }

  noteLeftover(leftover: Leftover): Promise<void> {
    return this.#writer.tiers({ kind: 'leave', ...leftover })
  }

  forgetLeftover(leftover: Leftover): Promise<void> {
    return this.#writer.tiers({ kind: 'left', ...leftover })
  }

  async note(name: string): Promise<string | undefined> {
    return (await this.#read('meta').where({ key: name }).first('value'))?.value
  }

  setNote(name: string, value: string): Promise<void> {
    return this.#writer.setMeta(name, value)
  }
}

export async function holdings(knex: Knex): Promise<StoreHolding[]> {
  return (await tallies(knex, 'store ')).map(({ name, ...held }) => ({ store: name, ...held }))
}

async function tallies(knex: Knex, prefix: string): Promise<{ name: string; packs: number; bytes: number }[]> {
  const rows: { name: string; packs: number; bytes: number }[] = await knex('tallies')
    .where('name', 'like', `${prefix}%`)
    .where('packs', '>', 0)
    .orderBy('name')
  return rows.map(({ name, packs, bytes }) => ({ name: name.slice(prefix.length), packs, bytes }))
}

/** Two sites may pin and release in any order: what was released once stays released. */
const activePins = (knex: Knex) => knex('pins').where({ released: false }).whereNot({ study_uid: '' })

/** `\CT\PT\` as it stands in a column. */
const listed = (text: string | undefined): string[] => (text ?? '').split('\\').filter((each) => each !== '')

/** A date of the catalogue, YYYYMMDD. */
function isoDay(text: string | undefined): string {
  return text && /^\d{8}/.test(text) ? `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6, 8)}` : ''
}
