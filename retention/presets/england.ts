import type { PresetInput } from './preset.ts'

export const england: PresetInput = {
  id: 'england',
  title: 'England: Records Management Code of Practice',
  version: '2026-11-24',
  sources: [
    { rule: 'en-adult', text: 'Code of Practice, appendix II: 8 years after the patient was last seen', checked: true },
    {
      rule: 'en-child',
      text: "the same: children's records to the 25th birthday, to the 26th if the patient was 17 when last seen",
      checked: true,
    },
    {
      rule: 'en-cancer',
      text: 'the same: 30 years from diagnosis, or 8 years after death, whichever is later',
      checked: true,
    },
    { rule: 'en-screening', text: 'the same: screening, mammography included, 10 years from the study', checked: true },
  ],
  reviewed: false,
  signOff: null,
  notes: [
    "The schedule was read in a radiologist's summary of the Royal College of Radiologists' guidance of March 2025; appendix II itself could not be read.",
    'A cancer is known to an archive only if somebody records an event of the kind `diagnosis-of-cancer`. Without it the 8 years count.',
    'Other conditions with longer periods (CJD, transplants, long-term illness, obstetrics) are not in here. Use the preset `rcr`, which covers them all, or place holds.',
    'Public inquiries forbid destruction from time to time (appendix I): place a hold.',
    'The birthday itself is kept. Who was born on 29 February has it on 1 March in other years.',
  ],
  rules: [
    { id: 'en-adult', class: 'any', years: 8, anchor: 'last-contact' },
    {
      id: 'en-child',
      class: 'any',
      years: 0,
      anchor: 'study-date',
      untilAge: { age: 25, ends: 'birthday', on: 'study', below: 18 },
    },
    {
      id: 'en-child-17',
      class: 'any',
      years: 0,
      anchor: 'last-contact',
      untilAge: { age: 26, ends: 'birthday', on: 'anchor', from: 17, below: 18 },
    },
    {
      id: 'en-cancer',
      class: 'any',
      years: 30,
      anchor: 'event:diagnosis-of-cancer',
      deathRule: { years: 8, effect: 'also' },
    },
    { id: 'en-screening', class: 'mammography-screening', years: 10, anchor: 'study-date' },
  ],
}
