import type { InstanceRecord } from '../../catalogue/ports.ts'
import type { CatalogueTiers } from '../../catalogue/tier-ports.ts'
import type { VolumeConfig } from '../../config/tiers.ts'

export const DEFAULT_VOLUME = 'default'

/** Which volume a study belongs to: that of its first pack for life, else what the configuration says. */
export class Volumes {
  readonly #catalogue: Pick<CatalogueTiers, 'volumeOf' | 'modalitiesOf'>
  readonly #configs: readonly VolumeConfig[]

  constructor(catalogue: Pick<CatalogueTiers, 'volumeOf' | 'modalitiesOf'>, configs: readonly VolumeConfig[]) {
    this.#catalogue = catalogue
    this.#configs = configs
  }

  async of(studyUid: string, records: readonly InstanceRecord[]): Promise<string> {
    if (this.#configs.length === 0) return DEFAULT_VOLUME
    const before = await this.#catalogue.volumeOf(studyUid)
    if (before !== undefined) return before
    const senders = new Set(records.map(({ source }) => source.name))
    const modalities = await this.#catalogue.modalitiesOf(studyUid)
    const fits = ({ sources, modalities: wanted }: VolumeConfig): boolean =>
      sources.some((source) => senders.has(source)) || wanted.some((modality) => modalities.includes(modality))
    return this.#configs.find(fits)?.id ?? DEFAULT_VOLUME
  }
}
