import type { PresetInput } from './preset.ts'

export const at: PresetInput = {
  id: 'at',
  title: 'Austria: hospitals',
  version: '2026-11-24',
  sources: [
    {
      rule: 'at-record',
      text: 'KAKuG s. 10(1) no. 3: medical histories at least 30 years; state law may provide for less, at least 10 years, for X-ray images and other parts that do not keep their value as evidence, and for outpatients',
      checked: true,
    },
  ],
  reviewed: false,
  signOff: null,
  notes: [
    'The wording read is one that was in force from 2001; whether it has changed since could not be checked.',
    'KAKuG is a framework for the nine states. Shorter periods of state law are not used here: ask which law is yours before you shorten.',
    'The law does not say from when the 30 years count. The last study or recorded contact counts here.',
    'ABGB s. 902(2) on periods that end on a missing day was not read; 1 March counts, the later reading.',
  ],
  rules: [{ id: 'at-record', class: 'any', years: 30, anchor: 'last-contact' }],
}
