import type { PresetInput } from './preset.ts'

export const ch: PresetInput = {
  id: 'ch',
  title: 'Switzerland: code of the medical profession (FMH)',
  version: '2026-11-24',
  sources: [
    {
      rule: 'ch-record',
      text: 'FMH Standesordnung art. 12: at least 20 years after the last entry; OR art. 128a: claims for injury expire after 20 years at the latest',
      checked: true,
    },
  ],
  reviewed: false,
  signOff: null,
  notes: [
    'Art. 12 was read as others quote it; one of them still has the 10 years that were in force before 2020.',
    'Cantonal law varies, may ask for more, and binds public hospitals first. It is not in here.',
    'An entry in the medical history is seldom known to an archive: the last study, contact or event of the kind `entry` counts.',
    'OR art. 77 on periods that end on a missing day was not read; 1 March counts, the later reading.',
  ],
  rules: [{ id: 'ch-record', class: 'any', years: 20, anchor: 'last-contact' }],
}
