import type { PresetInput } from './preset.ts'

export const rcr: PresetInput = {
  id: 'rcr',
  title: 'United Kingdom: Royal College of Radiologists, 2025',
  version: '2026-11-24',
  sources: [
    {
      rule: 'rcr-imaging',
      text: 'RCR, Application of the Records management code of practice to radiology record retention protocols (2025): 30 years after the patient was last seen, or 10 years after death',
      checked: true,
    },
  ],
  reviewed: false,
  signOff: null,
  notes: [
    'Only the introduction and a summary by a radiologist could be read. The summary does not say whether a death may shorten the 30 years; here the later of the two counts.',
    'Seen in any form counts, not only for imaging: record contacts as events.',
  ],
  rules: [
    { id: 'rcr-imaging', class: 'any', years: 30, anchor: 'last-contact', deathRule: { years: 10, effect: 'also' } },
  ],
}
