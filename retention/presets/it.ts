import type { PresetInput } from './preset.ts'

export const it: PresetInput = {
  id: 'it',
  title: 'Italy: radiological documents',
  version: '2026-11-24',
  sources: [
    { rule: 'it-images', text: 'D.M. 14 February 1997, art. 4: images at least 10 years', checked: true },
    {
      rule: 'it-reports',
      text: 'circular of the Ministry of Health of 19 December 1986: medical charts and reports without limit',
      checked: true,
    },
  ],
  reviewed: false,
  signOff: null,
  notes: [
    'Art. 4 was read as others quote it; the same circular is quoted with 20 years for X-ray images, which the later decree seems to replace. Ask before you rely on 10.',
    'From when the 10 years count is not said in what was read; one source says from the last service to the patient, which is used here.',
    'A study of unknown class may be a report and is kept for ever: classify before you decide, for a date that was decided is never shortened.',
    'Which law says how a period ends on a missing day was not looked up; 1 March counts, the later reading.',
  ],
  rules: [
    { id: 'it-images', class: 'any', years: 10, anchor: 'last-contact' },
    { id: 'it-reports', class: 'record', years: 'forever', anchor: 'receipt' },
  ],
}
