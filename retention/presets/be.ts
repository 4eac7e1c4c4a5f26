import type { PresetInput } from './preset.ts'

export const be: PresetInput = {
  id: 'be',
  title: 'Belgium: quality of health care practice',
  version: '2026-11-24',
  sources: [
    {
      rule: 'be-record',
      text: 'law of 22 April 2019, art. 35: at least 30 and at most 50 years from the last contact with the patient',
      checked: true,
    },
  ],
  reviewed: false,
  signOff: null,
  notes: [
    'Read as the Ordre des médecins explains it, who adds that keeping more than 30 years needs a reason.',
    'The 50 years are a limit for keeping, not a duty to keep: Firn destroys nothing by itself, so somebody must see to it.',
    'Which law says how a period ends on a missing day was not looked up; 1 March counts, the later reading.',
  ],
  rules: [{ id: 'be-record', class: 'any', years: 30, anchor: 'last-contact' }],
}
